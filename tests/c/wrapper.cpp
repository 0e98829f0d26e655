// The C++ header in full, against the emulator.
#include <cstdlib>
#include <thread>
#include <type_traits>
#include <vector>

#include "check.h"
#include "p21auth.hpp"
#include "p21auth.hpp"

static_assert(!std::is_copy_constructible_v<p21::client> && std::is_nothrow_move_constructible_v<p21::client>);
static_assert(!std::is_copy_constructible_v<p21::token> && std::is_nothrow_move_constructible_v<p21::token>);
static_assert(std::is_nothrow_copy_constructible_v<p21::error>);

template <typename Call> p21::error failure_of(Call call)
{
    try {
        call();
    } catch (const p21::error &failure) {
        return failure;
    }
    CHECK(false && "no error was thrown");
    std::abort();
}

static void uses(p21::client &client)
{
    using namespace std::chrono_literals;
    const std::string token = client.token();
    CHECK(client.token(P21_WITH_SCHEME | P21_CACHED_ONLY, 5s) == "Bearer " + token);
    const p21::token snapshot = client.snapshot(0, 0ms, 60s);
    CHECK(snapshot.value() == token);
    CHECK(snapshot.field("Claims.sub") == "demo" && !snapshot.field("Nothing"));
    CHECK(snapshot.json().find("ExpiresInSeconds") != std::string::npos);
    CHECK(snapshot.reuse_for() > 0ms && snapshot.expires_in() > 60s && snapshot.generation() > 0);
    CHECK(snapshot.expires_at() > std::chrono::system_clock::now());
    CHECK(!client.ui_url().empty() && client.stats().front() == '{');

    std::vector<std::thread> threads;
    for (int i = 0; i < 8; i++) {
        threads.emplace_back([&] { CHECK(client.token() == token); });
    }
    for (auto &thread : threads) {
        thread.join();
    }
    const std::uint64_t before = *client.generation();
    CHECK(client.report(token, 403) == p21::verdict::permission);
    CHECK(client.report(token, 401, "<TokenError/>") == p21::verdict::retry);
    CHECK(*client.generation() != before && snapshot.value() == token);
    client.invalidate(token);
    client.invalidate();
    CHECK(client.token() != token);
}

/* What the C header has beyond a client's own calls. */
static void everything_else()
{
    const p21::default_client shared;
    const std::string token = shared.token();
    char buffer[4096];
    CHECK(shared.copy_token(buffer, sizeof buffer) == token.size() && buffer == token);
    CHECK(shared.copy_token(buffer, 4) == token.size() && std::string(buffer).empty());
    CHECK(shared.copy_token(nullptr, 0) == token.size());
    CHECK(shared.stats().front() == '{' && !shared.ui_url().empty() && *shared.generation() != 0);
    shared.update();

    CHECK(std::string(p21::version()) == P21_VERSION && p21::abi_version() == P21_ABI_VERSION);
    CHECK(P21_VERSION_NUMBER >= 1000 && p21::options_json()[0] == '[');
    CHECK(p21::parse_token_response("{\"AccessToken\":\"abc\"}").find("\"abc\"") != std::string::npos);
    CHECK(failure_of([] { p21::parse_token_response("<html>"); }).code() >= P21_E_PARSE);
    CHECK(p21::request_token(p21::config().load_env()).find("AccessToken") != std::string::npos);
    p21::log_reader events;
    CHECK(events.read().find("\"event\"") != std::string::npos && events.read(1).empty());
    CHECK(failure_of([&] { events.read(9); }).code() == P21_E_INVALID_ARGUMENT);
}

/* const char *, std::string and std::string_view, each where text goes in. */
static void arguments(p21::client &client)
{
    using namespace std::string_literals;
    using namespace std::string_view_literals;
    const std::string token = client.token();
    CHECK(client.report(std::string_view(token), 403, "\"You are not authorized to access API\""sv) == p21::verdict::permission);
    CHECK(client.snapshot().field("Claims.sub"sv) == "demo" && client.snapshot().field("Claims.sub"s) == "demo");
    /* A view of a part: what stands behind it is not read. */
    const std::string_view part = "timeout_ms of a client"sv.substr(0, 10);
    p21::config options;
    options.load_env("P21_"sv).set(part, "1000"s).set("max_retries", "1"sv).reset(part);
    CHECK(failure_of([&] { options.set("timeout_ms"s, "soon"sv); }).code() == P21_E_CONFIG);
    CHECK(failure_of([&] { options.set("user_agent", "a\0b"s); }).code() == P21_E_INVALID_ARGUMENT);
    CHECK(failure_of([&] { options.load_file("/no/such/file"sv); }).code() == P21_E_CONFIG);
    /* Closing wakes and refuses, destroying it afterward is harmless. */
    p21::client closed(p21::config().load_env());
    closed.close();
    CHECK(failure_of([&] { closed.token(); }).code() == P21_E_INVALID_HANDLE);
}

int main()
{
    const std::uint64_t before = p21_live_objects();
    {
        p21::client client = p21::client::from_env();
        uses(client);
        everything_else();
        arguments(client);
        p21::client moved = std::move(client);
        CHECK(failure_of([&] { client.token(); }).code() == P21_E_INVALID_HANDLE);
        CHECK(!moved.token().empty());

        const p21::error typo = failure_of([] { p21::client(p21::config().set("pasword", "x")); });
        CHECK(typo.code() == P21_E_UNKNOWN_OPTION && typo.hint().find("password") != std::string::npos);
        CHECK(std::string(typo.name()) == "P21_E_UNKNOWN_OPTION" && !typo.retryable() && !typo.retry_after());

        moved.update(p21::config().load_env().set("password", "wrong").reset("timeout_ms"));
        const p21::error refused = failure_of([&] { moved.token(); });
        CHECK(refused.code() == P21_E_UNAUTHORIZED && refused.http_status() == 401);
        CHECK(refused.retry_after() > std::chrono::seconds(1));
        CHECK(std::string(refused.what()).find("Hint: ") != std::string::npos);
    }
    CHECK(p21_live_objects() == before);
    puts("wrapper: ok");
    return 0;
}
