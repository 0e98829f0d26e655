/* libp21auth for C++17: header-only, a thin layer over p21auth.h.
 *
 *     #include "p21auth.hpp"
 *
 *     p21::client client = p21::client::from_env();   // P21_BASE_URL, P21_USERNAME, P21_PASSWORD, ...
 *     std::string header = client.token(P21_WITH_SCHEME);   // "Bearer ..."
 *     std::string ui = client.ui_url();
 *
 * Link with -lp21auth. Failures are thrown as p21::error, which says what happened, what to do next (hint) and whether a
 * later try can help. A client may be used by any number of threads at once; other objects by one thread at a time unless
 * only const members are called. Strings that hold tokens are the caller's: std::string does not zeroise them.
 */
#ifndef P21AUTH_HPP
#define P21AUTH_HPP

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

#include "p21auth.h"

namespace p21 {

/* What went wrong. what() is the message and, behind it, the hint. */
class error : public std::runtime_error {
public:
    /* Takes over what a C call left behind; failure may be NULL. */
    error(p21_status code, p21_error *failure)
        : std::runtime_error(describe(code, failure)),
          code_(code),
          http_status_(p21_error_http_status(failure)),
          retry_after_(p21_error_retry_after_ms(failure)),
          retryable_(p21_error_is_retryable(failure) != 0),
          hint_(std::make_shared<const std::string>(text(p21_error_hint(failure)))) {
        p21_error_free(failure);
    }

    /* One of P21_E_... */
    p21_status code() const noexcept { return code_; }
    /* Such as "P21_E_UNAUTHORIZED". */
    const char *name() const noexcept { return p21_status_name(code_); }
    /* Of the server's answer; 0 when there was none. */
    int http_status() const noexcept { return http_status_; }
    /* The next thing to do, in P21's own terms; may be empty. */
    const std::string &hint() const noexcept { return *hint_; }
    /* Whether the same call may succeed later without anybody changing anything. */
    bool retryable() const noexcept { return retryable_; }
    /* How long until another try is made, where that is known. */
    std::optional<std::chrono::milliseconds> retry_after() const {
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
inline void check(p21_status status, p21_error *const &failure = nullptr) {
    if (status != P21_OK) {
        throw error(status, failure);
    }
}

struct free_string {
    void operator()(char *text) const noexcept { p21_free(text); }
};

/* A string of the library as a std::string; the library's is zeroised. */
inline std::string take(char *text) {
    const std::unique_ptr<char, free_string> owner(text);
    return text != nullptr ? std::string(text) : std::string();
}

/* 0 stands for the client's own timeout; less than that means that no time is left. */
inline std::uint32_t milliseconds(std::chrono::milliseconds wait) {
    constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
    const std::int64_t count = wait.count();
    return static_cast<std::uint32_t>(count < 0 ? 1 : (count > most ? most : count));
}

inline std::uint32_t seconds(std::chrono::seconds time) {
    constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
    const std::int64_t count = time.count();
    return static_cast<std::uint32_t>(count < 0 ? 0 : (count > most ? most : count));
}

} /* namespace detail */

/* What to do after an API rejected a token. */
enum class verdict : std::int32_t {
    retry = P21_VERDICT_RETRY,             /* get a token again and send the call once more */
    permission = P21_VERDICT_PERMISSION,   /* somebody must grant a permission; no token helps */
    header_lost = P21_VERDICT_HEADER_LOST, /* the Authorization header did not arrive */
    give_up = P21_VERDICT_GIVE_UP          /* the token is not known to be the reason */
};

/* The next thing to do, in P21's own terms. */
inline const char *hint(verdict what) noexcept { return p21_verdict_hint(static_cast<std::int32_t>(what)); }

/* Options, one at a time. Each call answers the configuration itself:
 *
 *     p21::client client(p21::config().set("base_url", "https://p21.example.com").set("consumer_key", key));
 */
class config {
public:
    config() {
        p21_config *made = nullptr;
        detail::check(p21_config_new(&made));
        handle_.reset(made);
    }

    config &set(const std::string &name, const std::string &value) {
        return note(p21_config_set(handle_.get(), name.c_str(), value.c_str()));
    }
    /* Puts an option back to its default. */
    config &reset(const std::string &name) { return note(p21_config_set(handle_.get(), name.c_str(), nullptr)); }
    config &load_env(const std::string &prefix = "P21_") {
        return note(p21_config_load_env(handle_.get(), prefix.c_str()));
    }
    config &load_file(const std::string &path) { return note(p21_config_load_file(handle_.get(), path.c_str())); }

    const p21_config *get() const noexcept { return handle_.get(); }

private:
    /* A bad option is remembered, and p21::client's constructor tells all about it. */
    config &note(p21_status status) {
        if (status == P21_E_NULL_ARGUMENT || status == P21_E_INVALID_HANDLE || status == P21_E_INVALID_UTF8) {
            throw error(status, nullptr);
        }
        return *this;
    }

    struct deleter {
        void operator()(p21_config *handle) const noexcept { p21_config_free(handle); }
    };
    std::unique_ptr<p21_config, deleter> handle_;
};

/* A snapshot of one token: it stays as it is, whatever the cache does. Keep one while an Interactive session is open. */
class token {
public:
    explicit token(p21_token *handle) noexcept : handle_(handle) {}

    /* With "Bearer " before it if it was taken with P21_WITH_SCHEME. Borrowed: lasts as long as this object. */
    std::string_view value() const {
        const char *text = p21_token_value(handle_.get());
        if (text == nullptr) {
            throw error(P21_E_INVALID_HANDLE, nullptr);
        }
        return text;
    }
    /* "Scope", "SessionId", "Claims.sub" and so on. */
    std::optional<std::string> field(const std::string &name) const {
        const char *text = p21_token_field(handle_.get(), name.c_str());
        return text != nullptr ? std::optional<std::string>(text) : std::nullopt;
    }
    std::string json() const {
        char *text = nullptr;
        detail::check(p21_token_json(handle_.get(), &text));
        return detail::take(text);
    }
    /* How long it may be used again without asking, while client::generation() does not change. */
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

/* Access to one P21 server under one identity. Move-only. flags are P21_FORCE_REFRESH, P21_CACHED_ONLY, P21_WITH_SCHEME and
 * P21_NO_WAIT; a wait of 0 means the client's timeout_ms. */
class client {
public:
    explicit client(const config &options) {
        p21_client *made = nullptr;
        p21_error *failure = nullptr;
        detail::check(p21_client_new(options.get(), &made, &failure), failure);
        handle_.reset(made);
    }

    /* From environment variables such as P21_BASE_URL, or PREFIX_BASE_URL. */
    static client from_env(const std::string &prefix = "P21_") { return client(config().load_env(prefix)); }
    static client from_file(const std::string &path) { return client(config().load_file(path)); }

    std::string token(std::uint32_t flags = 0, std::chrono::milliseconds wait = std::chrono::milliseconds(0)) const {
        char *text = nullptr;
        p21_error *failure = nullptr;
        detail::check(p21_token_get(get(), flags, detail::milliseconds(wait), &text, &failure), failure);
        return detail::take(text);
    }
    /* A token that is good for at least min_valid, if the server's tokens live that long. */
    p21::token snapshot(std::uint32_t flags = 0, std::chrono::milliseconds wait = std::chrono::milliseconds(0),
                        std::chrono::seconds min_valid = std::chrono::seconds(0)) const {
        p21_token *made = nullptr;
        p21_error *failure = nullptr;
        detail::check(p21_token_snapshot(get(), flags, detail::milliseconds(wait), detail::seconds(min_valid), &made, &failure),
                      failure);
        return p21::token(made);
    }
    /* Sorts an API's answer and drops the token if it is to blame. Call it for every 401 and 403. */
    verdict report(const std::string &token, int http_status, std::string_view body = {}) const {
        std::int32_t what = 0;
        p21_error *failure = nullptr;
        const auto *bytes = reinterpret_cast<const std::uint8_t *>(body.data());
        detail::check(p21_token_report(get(), token.c_str(), http_status, bytes, body.size(), &what, &failure), failure);
        return static_cast<verdict>(what);
    }
    /* Drops a token if it is still the current one. */
    void invalidate(const std::string &token) const { detail::check(p21_token_invalidate(get(), token.c_str())); }
    /* Drops whatever is cached and lifts a cool-down: "the account is unlocked, try now". */
    void invalidate() const { detail::check(p21_token_invalidate(get(), nullptr)); }

    /* The UI server's URL for the Interactive and Transaction APIs, without a slash at its end. */
    std::string ui_url(std::uint32_t flags = 0, std::chrono::milliseconds wait = std::chrono::milliseconds(0)) const {
        char *text = nullptr;
        p21_error *failure = nullptr;
        detail::check(p21_ui_url(get(), flags, detail::milliseconds(wait), &text, &failure), failure);
        return detail::take(text);
    }
    /* What is going on, as JSON; no secret is in it. */
    std::string stats() const {
        char *text = nullptr;
        detail::check(p21_client_stats(get(), &text));
        return detail::take(text);
    }
    /* The word that changes whenever the token that a caller would get may have changed; read it atomically. */
    const std::uint64_t *generation() const {
        const std::uint64_t *word = nullptr;
        detail::check(p21_client_generation(get(), &word));
        return word;
    }
    /* Other credentials or settings under the same handle; after a failure everything is as it was. */
    void update(const config &options) {
        p21_error *failure = nullptr;
        detail::check(p21_client_update(handle_.get(), options.get(), &failure), failure);
    }

    /* The C handle. A client that was moved from has none, and NULL would mean the default client. */
    const p21_client *get() const {
        if (handle_ == nullptr) {
            throw error(P21_E_INVALID_HANDLE, nullptr);
        }
        return handle_.get();
    }

private:
    struct deleter {
        void operator()(p21_client *handle) const noexcept { p21_client_free(handle); }
    };
    std::unique_ptr<p21_client, deleter> handle_;
};

} /* namespace p21 */

#endif /* P21AUTH_HPP */
