/* libp21auth for C++17 and later: header-only, a thin layer over p21auth.h.
 *
 *     #include "p21auth.hpp"
 *
 *     p21::client client = p21::client::from_env();   // P21_BASE_URL, P21_USERNAME, P21_PASSWORD, ...
 *     std::string header = client.token(P21_WITH_SCHEME);   // "Bearer ..."
 *     std::string ui = client.ui_url();
 *
 * Link with -lp21auth.
 *
 * Failures are thrown as p21::error, which says what happened, what to do next (hint) and whether a retry can help, so this
 * header needs exceptions. Functions marked noexcept never throw; every other function may throw std::bad_alloc.
 *
 * Pass text as const char *, std::string or std::string_view. The first two are passed to C without a copy; a view is
 * copied into a buffer that is wiped when the call returns. A returned std::string does not wipe itself: do not keep a
 * token longer than the request that needs it.
 *
 * Any number of threads may use a client at once. Use other objects from one thread at a time, unless you call only const
 * members. To be able to cancel a wait, wait in short slices: a call with a short wait throws P21_E_TIMEOUT with a
 * retry_after() of 0 while the request continues, and the next call joins that request. client::close() ends every wait on
 * the client with P21_E_CLOSED.
 */
#ifndef P21AUTH_HPP
#define P21AUTH_HPP

#if !defined(__cpp_exceptions) && !defined(_CPPUNWIND)
#error "p21auth.hpp reports failures as exceptions: compile with them, or use p21auth.h"
#endif

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "p21auth.h"

namespace p21 {

/* Why a call failed. what() is the message, followed by the hint. */
class error : public std::runtime_error {
public:
    /* Takes ownership of a C call's error; failure may be NULL. */
    error(p21_status code, p21_error *failure)
        : std::runtime_error(describe(code, failure)),
          code_(code),
          http_status_(p21_error_http_status(failure)),
          retry_after_(p21_error_retry_after_ms(failure)),
          retryable_(p21_error_is_retryable(failure) != 0),
          hint_(std::make_shared<const std::string>(text(p21_error_hint(failure)))) {
        p21_error_free(failure);
    }
    /* A mistake found by this header, before the C call. */
    error(p21_status code, const char *message)
        : std::runtime_error(std::string(p21_status_name(code)) + ": " + message),
          code_(code),
          http_status_(0),
          retry_after_(-1),
          retryable_(false),
          hint_(std::make_shared<const std::string>()) {}

    /* One of P21_E_... */
    p21_status code() const noexcept { return code_; }
    /* A name such as "P21_E_UNAUTHORIZED". */
    const char *name() const noexcept { return p21_status_name(code_); }
    /* The HTTP status of the server's response; 0 if there was none. */
    int http_status() const noexcept { return http_status_; }
    /* What to do next, in P21's terms; may be empty. */
    const std::string &hint() const noexcept { return *hint_; }
    /* Whether the same call may succeed later with no changes. */
    bool retryable() const noexcept { return retryable_; }
    /* The time until the next attempt, if known. */
    std::optional<std::chrono::milliseconds> retry_after() const noexcept {
        if (retry_after_ < 0) {
            return std::nullopt;
        }
        return std::chrono::milliseconds(retry_after_);
    }

private:
    static const char *text(const char *borrowed) { return borrowed != nullptr ? borrowed : ""; }

    static std::string describe(p21_status code, p21_error *failure) {
        std::string all = p21_status_name(code);
        const std::string message = text(p21_error_message(failure));
        const std::string hint = text(p21_error_hint(failure));
        if (!message.empty()) {
            all += ": " + message;
        }
        if (!hint.empty()) {
            all += " Hint: " + hint;
        }
        return all;
    }

    p21_status code_;
    int http_status_;
    std::int64_t retry_after_;
    bool retryable_;
    /* Shared, so that copying an exception cannot throw. */
    std::shared_ptr<const std::string> hint_;
};

namespace detail {

/* By reference: the call that makes the status sets the error too, and arguments are evaluated in any order. */
inline void check(p21_status status, p21_error *const &failure) {
    if (status != P21_OK) {
        throw error(status, failure);
    }
}

struct free_string {
    void operator()(char *text) const noexcept { p21_free(text); }
};

/* Copies a string of the library to a std::string, and wipes and frees the original. */
inline std::string take(char *text) {
    const std::unique_ptr<char, free_string> owner(text);
    return text != nullptr ? std::string(text) : std::string();
}

/* 0 means the client's timeout; a negative time means that no time is left. */
inline std::uint32_t milliseconds(std::chrono::milliseconds wait) noexcept {
    constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
    const std::int64_t count = wait.count();
    return static_cast<std::uint32_t>(count < 0 ? 1 : (count > most ? most : count));
}

inline std::uint32_t seconds(std::chrono::seconds time) noexcept {
    constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
    const std::int64_t count = time.count();
    return static_cast<std::uint32_t>(count < 0 ? 0 : (count > most ? most : count));
}

} /* namespace detail */

/* A text argument: const char *, std::string or std::string_view. It borrows the first two, so use it only as an
 * argument, never as a variable. A view is copied, and the copy is wiped. Text with a NUL inside is rejected, because C
 * would cut it off there. */
class text_argument {
public:
    text_argument(const char *text) noexcept : text_(text) {}
    text_argument(const std::string &text) : text_(text.c_str()) { refuse_nul(text); }
    text_argument(std::string_view text) : copy_(text.begin(), text.end()), text_(nullptr) {
        refuse_nul(text);
        copy_.push_back('\0');
        text_ = copy_.data();
    }
    text_argument(const text_argument &) = delete;
    text_argument &operator=(const text_argument &) = delete;
    ~text_argument() {
        volatile char *bytes = copy_.data();
        for (std::size_t i = 0; i < copy_.size(); i++) {
            bytes[i] = 0;
        }
    }

    const char *c_str() const noexcept { return text_; }

private:
    static void refuse_nul(std::string_view text) {
        if (text.find('\0') != std::string_view::npos) {
            throw error(P21_E_INVALID_ARGUMENT, "the text has a NUL character inside");
        }
    }

    std::vector<char> copy_;
    const char *text_;
};

/* Version of the loaded library, such as "0.1.0". P21_VERSION is the header's version. */
inline const char *version() noexcept { return p21_version(); }
/* Compare it with P21_ABI_VERSION. */
inline std::int32_t abi_version() noexcept { return p21_abi_version(); }
/* Every option as a JSON array. */
inline const char *options_json() noexcept { return p21_options_json(); }
/* Number of handles and strings that were not freed yet. For leak tests. */
inline std::uint64_t live_objects() noexcept { return p21_live_objects(); }

/* What to do after an API rejected a token. */
enum class verdict : std::int32_t {
    retry = P21_VERDICT_RETRY,             /* get a token again and send the call once more */
    permission = P21_VERDICT_PERMISSION,   /* a permission must be granted in P21; no token helps */
    header_lost = P21_VERDICT_HEADER_LOST, /* the Authorization header did not arrive; no token helps */
    give_up = P21_VERDICT_GIVE_UP          /* the token is not known to be the cause */
};

/* What to do next, in P21's terms. */
inline const char *hint(verdict what) noexcept { return p21_verdict_hint(static_cast<std::int32_t>(what)); }

/* Options for a client. Each call returns the configuration, so calls can be chained:
 *
 *     p21::client client(p21::config().set("base_url", "https://p21.example.com").set("consumer_key", key));
 */
class config {
public:
    config() {
        p21_config *made = nullptr;
        p21_error *failure = nullptr;
        detail::check(p21_config_new(&made, &failure), failure);
        handle_.reset(made);
    }

    /* Throws for an unknown option or an invalid value. The hint lists similar names. */
    config &set(const text_argument &name, const text_argument &value) {
        p21_error *failure = nullptr;
        return done(p21_config_set(handle_.get(), name.c_str(), value.c_str(), &failure), failure);
    }
    /* Restores an option's default. */
    config &reset(const text_argument &name) { return set(name, nullptr); }
    config &load_env(const text_argument &prefix = "P21_") {
        p21_error *failure = nullptr;
        return done(p21_config_load_env(handle_.get(), prefix.c_str(), &failure), failure);
    }
    config &load_file(const text_argument &path) {
        p21_error *failure = nullptr;
        return done(p21_config_load_file(handle_.get(), path.c_str(), &failure), failure);
    }
    config &load_profile(const text_argument &name) {
        p21_error *failure = nullptr;
        return done(p21_config_load_profile(handle_.get(), name.c_str(), &failure), failure);
    }

    const p21_config *get() const noexcept { return handle_.get(); }

private:
    config &done(p21_status status, p21_error *const &failure) {
        detail::check(status, failure);
        return *this;
    }

    struct deleter {
        void operator()(p21_config *handle) const noexcept { p21_config_free(handle); }
    };
    std::unique_ptr<p21_config, deleter> handle_;
};

/* A snapshot of one token: it does not change, even if the cache does. Keep one while an Interactive session is open. */
class token {
public:
    explicit token(p21_token *handle) noexcept : handle_(handle) {}

    /* With "Bearer " before it if it was taken with P21_WITH_SCHEME. Borrowed: valid as long as this object. */
    std::string_view value() const {
        const char *text = p21_token_value(handle_.get());
        if (text == nullptr) {
            throw error(P21_E_INVALID_HANDLE, "the object was moved from or closed");
        }
        return text;
    }
    /* "Scope", "SessionId", "Claims.sub" and so on. */
    std::optional<std::string> field(const text_argument &name) const {
        const char *text = p21_token_field(handle_.get(), name.c_str());
        return text != nullptr ? std::optional<std::string>(text) : std::nullopt;
    }
    std::string json() const {
        char *text = nullptr;
        p21_error *failure = nullptr;
        detail::check(p21_token_json(handle_.get(), &text, &failure), failure);
        return detail::take(text);
    }
    /* How long the token may be reused without another call, while client::generation() does not change. */
    std::chrono::milliseconds reuse_for() const noexcept {
        return std::chrono::milliseconds(p21_token_reuse_ms(handle_.get()));
    }
    std::chrono::seconds expires_in() const noexcept { return std::chrono::seconds(p21_token_expires_in(handle_.get())); }
    std::chrono::system_clock::time_point expires_at() const noexcept {
        return std::chrono::system_clock::time_point(std::chrono::seconds(p21_token_expires_at(handle_.get())));
    }
    std::uint64_t generation() const noexcept { return p21_token_generation(handle_.get()); }

    const p21_token *get() const noexcept { return handle_.get(); }

private:
    struct deleter {
        void operator()(p21_token *handle) const noexcept { p21_token_free(handle); }
    };
    std::unique_ptr<p21_token, deleter> handle_;
};

/* The calls of a client and of the default client. flags are P21_FORCE_REFRESH, P21_CACHED_ONLY, P21_WITH_SCHEME and
 * P21_NO_WAIT; a wait of 0 means the client's timeout_ms. */
template <typename Client> class client_calls {
public:
    /* A valid access token. */
    std::string token(std::uint32_t flags = 0, std::chrono::milliseconds wait = std::chrono::milliseconds(0)) const {
        char *text = nullptr;
        p21_error *failure = nullptr;
        detail::check(p21_token_get(handle(), flags, detail::milliseconds(wait), &text, &failure), failure);
        return detail::take(text);
    }
    /* Copies a valid access token into a buffer, without allocation: the fastest way to get one. Returns its length
     * without the NUL, as snprintf does: if that is not less than capacity, the buffer was too small and contains
     * "". */
    std::size_t copy_token(char *buffer, std::size_t capacity, std::uint32_t flags = 0,
                           std::chrono::milliseconds wait = std::chrono::milliseconds(0)) const {
        std::size_t length = 0;
        p21_error *failure = nullptr;
        const p21_status status =
            p21_token_copy(handle(), flags, detail::milliseconds(wait), buffer, capacity, &length, &failure);
        if (status == P21_E_BUFFER_TOO_SMALL) {
            p21_error_free(failure);
        } else {
            detail::check(status, failure);
        }
        return length;
    }
    /* A token that stays valid for at least min_valid, if the server's tokens live that long. */
    p21::token snapshot(std::uint32_t flags = 0, std::chrono::milliseconds wait = std::chrono::milliseconds(0),
                        std::chrono::seconds min_valid = std::chrono::seconds(0)) const {
        p21_token *made = nullptr;
        p21_error *failure = nullptr;
        detail::check(p21_token_snapshot(handle(), flags, detail::milliseconds(wait), detail::seconds(min_valid), &made, &failure),
                      failure);
        return p21::token(made);
    }
    /* Returns what an API's rejection means, and drops the token if it is the cause. Call it for every 401 and 403. */
    verdict report(const text_argument &token, int http_status, std::string_view body = {}) const {
        std::int32_t what = 0;
        p21_error *failure = nullptr;
        const auto *bytes = reinterpret_cast<const std::uint8_t *>(body.data());
        detail::check(p21_token_report(handle(), token.c_str(), http_status, bytes, body.size(), &what, &failure), failure);
        return static_cast<verdict>(what);
    }
    /* Drops a token if it is still the current one. */
    void invalidate(const text_argument &token) const {
        p21_error *failure = nullptr;
        detail::check(p21_token_invalidate(handle(), token.c_str(), &failure), failure);
    }
    /* Drops the cached token and lifts a cool-down: "the account is unlocked, try now". */
    void invalidate() const { invalidate(nullptr); }

    /* The UI server's URL for the Interactive and Transaction APIs, without a slash at its end. */
    std::string ui_url(std::uint32_t flags = 0, std::chrono::milliseconds wait = std::chrono::milliseconds(0)) const {
        char *text = nullptr;
        p21_error *failure = nullptr;
        detail::check(p21_ui_url(handle(), flags, detail::milliseconds(wait), &text, &failure), failure);
        return detail::take(text);
    }
    /* Diagnostics as JSON; no secret is in it. */
    std::string stats() const {
        char *text = nullptr;
        p21_error *failure = nullptr;
        detail::check(p21_client_stats(handle(), &text, &failure), failure);
        return detail::take(text);
    }
    /* A number that changes whenever the client's token may have changed. Read it atomically. */
    const std::uint64_t *generation() const {
        const std::uint64_t *word = nullptr;
        p21_error *failure = nullptr;
        detail::check(p21_client_generation(handle(), &word, &failure), failure);
        return word;
    }

protected:
    client_calls() noexcept = default;
    client_calls(client_calls &&) noexcept = default;
    client_calls &operator=(client_calls &&) noexcept = default;
    ~client_calls() = default;

private:
    const p21_client *handle() const { return static_cast<const Client *>(this)->get(); }
};

/* Access to one P21 server under one identity. Move-only. */
class client : public client_calls<client> {
public:
    explicit client(const config &options) {
        p21_client *made = nullptr;
        p21_error *failure = nullptr;
        detail::check(p21_client_new(options.get(), &made, &failure), failure);
        handle_.reset(made);
    }

    /* From environment variables such as P21_BASE_URL, or PREFIX_BASE_URL. */
    static client from_env(const text_argument &prefix = "P21_") { return client(config().load_env(prefix)); }
    /* From a .env file. */
    static client from_file(const text_argument &path) { return client(config().load_file(path)); }
    /* From a profile only: see p21_config_load_profile. */
    static client from_profile(const text_argument &name) { return client(config().load_profile(name)); }

    /* Changes the credentials or settings under the same handle. On failure the client does not change. */
    void update(const config &options) {
        p21_error *failure = nullptr;
        detail::check(p21_client_update(handle_.get(), options.get(), &failure), failure);
    }
    /* Frees the client. Calls of other threads that wait return P21_E_CLOSED at once. */
    void close() const noexcept { p21_client_free(handle_.get()); }

    /* The C handle. Throws for a client that was moved from: NULL would mean the default client. */
    const p21_client *get() const {
        if (handle_ == nullptr) {
            throw error(P21_E_INVALID_HANDLE, "the client was moved from");
        }
        return handle_.get();
    }

private:
    struct deleter {
        void operator()(p21_client *handle) const noexcept { p21_client_free(handle); }
    };
    std::unique_ptr<p21_client, deleter> handle_;
};

/* The default client of the process, opened from the P21_ environment variables at first use:
 *
 *     std::string token = p21::default_client().token();
 */
class default_client : public client_calls<default_client> {
public:
    default_client() noexcept = default;
    /* Reopens it from the environment. On failure it does not change. */
    void update() const {
        p21_error *failure = nullptr;
        detail::check(p21_client_update(nullptr, nullptr, &failure), failure);
    }
    const p21_client *get() const noexcept { return nullptr; }
};

/* Requests a token from the server, bypassing the cache. Returns JSON with the P21 API's names. Each request opens a
 * middleware session. */
inline std::string request_token(const config &options) {
    char *text = nullptr;
    p21_error *failure = nullptr;
    detail::check(p21_token_request(options.get(), &text, &failure), failure);
    return detail::take(text);
}

/* Parses a token response that another program fetched. Returns JSON with the P21 API's names. */
inline std::string parse_token_response(std::string_view body) {
    char *text = nullptr;
    p21_error *failure = nullptr;
    const auto *bytes = reinterpret_cast<const std::uint8_t *>(body.data());
    detail::check(p21_parse_token_response(bytes, body.size(), &text, &failure), failure);
    return detail::take(text);
}

/* Checks what a token needs, from inside this process, and returns a report as JSON. flags is 0, or P21_DOCTOR_TOKEN to
 * use or request a token. A wait of 0 means timeout_ms. */
inline std::string doctor(const config &options, std::uint32_t flags = 0,
                          std::chrono::milliseconds wait = std::chrono::milliseconds(0)) {
    char *text = nullptr;
    p21_error *failure = nullptr;
    detail::check(p21_doctor(options.get(), flags, detail::milliseconds(wait), &text, &failure), failure);
    return detail::take(text);
}
/* The same for the default client. */
inline std::string doctor(std::uint32_t flags = 0, std::chrono::milliseconds wait = std::chrono::milliseconds(0)) {
    char *text = nullptr;
    p21_error *failure = nullptr;
    detail::check(p21_doctor(nullptr, flags, detail::milliseconds(wait), &text, &failure), failure);
    return detail::take(text);
}

/* Reads the library's log events. Each reader sees every event that is still kept. */
class log_reader {
public:
    /* The events since the last call, as lines of JSON; empty if there are none. max_level: 1 errors only ... 5 all. */
    std::string read(std::int32_t max_level = 5) {
        char *lines = nullptr;
        p21_error *failure = nullptr;
        detail::check(p21_log_read(&cursor_, max_level, &lines, &failure), failure);
        return detail::take(lines);
    }

private:
    std::uint64_t cursor_ = 0;
};

} /* namespace p21 */

#endif /* P21AUTH_HPP */
