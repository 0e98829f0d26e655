/* A panic inside each exported function stops at the boundary: a status function answers P21_E_PANIC and leaves its results
 * neutral, a value function answers something neutral, and the next call works. Needs a library with the feature
 * panic-injection. Asks no server. Prints the name of each function that it has tested.
 */
#include <string.h>

#include "check.h"
#include "p21auth.h"

/* Not in the header: only builds for tests have it. This thread's next call of the function panics: at its start, or when it
 * has made this many of its results neutral. */
void p21_test_panic(const char *function, uint32_t results);

static p21_config *config;
static p21_client *client;
static p21_token *snapshot;
static p21_error *failure;

static void tested(const char *name)
{
    puts(name);
}

/* Panics, then does what it is for: `status`, or any but a panic. */
#define STATUS(status, function, arguments) \
    do { \
        p21_test_panic(#function, 0); \
        CHECK(function arguments == P21_E_PANIC); \
        CHECK(function arguments == (status)); \
        tested(#function); \
    } while (0)

/* Rubbish in `result`, the nth of the function's, does not outlive a panic inside. */
#define CLEARS(nth, result, function, arguments) \
    do { \
        memset(&(result), 0xA5, sizeof(result)); \
        p21_test_panic(#function, nth); \
        CHECK(function arguments == P21_E_PANIC); \
        CHECK((result) == 0); \
    } while (0)

/* Both, for a function that has one result. */
#define RESULT(status, result, function, arguments) \
    do { \
        CLEARS(1, result, function, arguments); \
        STATUS(status, function, arguments); \
    } while (0)

/* Answers `neutral` when it panics, then something that meets `good`. */
#define VALUE(type, function, arguments, neutral, good) \
    do { \
        type answer; \
        p21_test_panic(#function, 0); \
        answer = function arguments; \
        CHECK(answer == (neutral)); \
        answer = function arguments; \
        CHECK(good); \
        tested(#function); \
    } while (0)

/* Frees nothing when it panics, and the object the next time. */
#define FREE(function, object) \
    do { \
        const uint64_t live = p21_live_objects(); \
        p21_test_panic(#function, 0); \
        function(object); \
        CHECK(p21_live_objects() == live); \
        function(object); \
        CHECK(p21_live_objects() == live - 1); \
        tested(#function); \
    } while (0)

static void statuses(void)
{
    static const uint8_t body[] = "{\"AccessToken\":\"abc\"}";
    char buffer[64];
    char *text;
    p21_client *other;
    p21_config *another;
    p21_error *err;
    const uint64_t *word;
    uint64_t cursor = 0;
    size_t length;
    int32_t verdict;

    /* Only the last call of each has made something. */
    RESULT(P21_OK, another, p21_config_new, (&another, NULL));
    STATUS(P21_OK, p21_config_set, (config, "timeout_ms", "1000", NULL));
    STATUS(P21_OK, p21_config_load_env, (config, "P21_TEST_NOTHING_HERE_", NULL));
    STATUS(P21_E_CONFIG, p21_config_load_file, (another, "/no/such/file", NULL));
    STATUS(P21_E_CONFIG, p21_config_load_profile, (another, "no such profile", NULL));
    p21_config_free(another);
    RESULT(P21_OK, other, p21_client_new, (config, &other, NULL));
    STATUS(P21_OK, p21_client_update, (other, config, NULL));
    p21_client_free(other);
    RESULT(P21_OK, text, p21_client_stats, (client, &text, NULL));
    p21_free(text);
    RESULT(P21_OK, word, p21_client_generation, (client, &word, NULL));
    RESULT(P21_OK, text, p21_token_get, (client, 0, 0, &text, NULL));
    p21_free(text);
    CLEARS(1, length, p21_token_copy, (client, 0, 0, buffer, sizeof buffer, &length, NULL));
    CLEARS(2, buffer[0], p21_token_copy, (client, 0, 0, buffer, sizeof buffer, &length, NULL));
    STATUS(P21_OK, p21_token_copy, (client, 0, 0, buffer, sizeof buffer, &length, NULL));
    RESULT(P21_OK, snapshot, p21_token_snapshot, (client, 0, 0, 0, &snapshot, NULL));
    RESULT(P21_OK, verdict, p21_token_report, (client, "abc", 500, NULL, 0, &verdict, NULL));
    STATUS(P21_OK, p21_token_invalidate, (client, "abc", NULL));
    RESULT(P21_E_NO_CACHED_TOKEN, text, p21_ui_url, (client, P21_CACHED_ONLY, 0, &text, NULL));
    RESULT(P21_OK, text, p21_token_request, (config, &text, NULL));
    p21_free(text);
    RESULT(P21_OK, text, p21_parse_token_response, (body, sizeof body - 1, &text, NULL));
    p21_free(text);
    RESULT(P21_OK, text, p21_token_json, (snapshot, &text, NULL));
    p21_free(text);
    RESULT(P21_OK, text, p21_log_read, (&cursor, 5, &text, NULL));
    p21_free(text);
    RESULT(P21_OK, text, p21_doctor, (config, 0, 1000, &text, NULL));
    p21_free(text);

    /* Told with its place, and without what was said. */
    memset(&text, 0xA5, sizeof text);
    memset(&err, 0xA5, sizeof err);
    p21_test_panic("p21_token_get", 1);
    CHECK(p21_token_get(client, 0, 0, &text, &err) == P21_E_PANIC && text == NULL);
    CHECK(p21_error_code(err) == P21_E_PANIC && strstr(p21_error_message(err), "p21_token_get") != NULL);
    CHECK(strstr(p21_error_message(err), "guard.rs:") != NULL && strstr(p21_error_message(err), "injected") == NULL);
    p21_error_free(err);
}

static void values(void)
{
    char *text;

    CHECK(p21_token_get(client, 0x80000000U, 0, &text, &failure) == P21_E_INVALID_ARGUMENT);
    VALUE(const char *, p21_options_json, (), NULL, strstr(answer, "base_url") != NULL);
    VALUE(uint64_t, p21_live_objects, (), 0, answer > 3);
    VALUE(const char *, p21_token_value, (snapshot), NULL, strcmp(answer, "abc") == 0);
    VALUE(const char *, p21_token_field, (snapshot, "TokenType"), NULL, strcmp(answer, "Bearer") == 0);
    VALUE(int64_t, p21_token_reuse_ms, (snapshot), 0, answer > 0);
    VALUE(int64_t, p21_token_expires_in, (snapshot), -1, answer > 0);
    VALUE(int64_t, p21_token_expires_at, (snapshot), -1, answer > 0);
    VALUE(uint64_t, p21_token_generation, (snapshot), 0, answer == p21_token_generation(snapshot));
    VALUE(p21_status, p21_error_code, (failure), P21_E_INVALID_HANDLE, answer == P21_E_INVALID_ARGUMENT);
    VALUE(int32_t, p21_error_http_status, (failure), 0, answer == 0);
    VALUE(const char *, p21_error_message, (failure), NULL, strlen(answer) > 0);
    VALUE(const char *, p21_error_hint, (failure), NULL, answer != NULL);
    VALUE(int64_t, p21_error_retry_after_ms, (failure), -1, answer == -1);
    VALUE(int32_t, p21_error_is_retryable, (failure), 0, answer == 0);
    p21_test_panic("p21_status_name", 0);
    CHECK(strcmp(p21_status_name(P21_OK), "P21_E_UNKNOWN") == 0);
    CHECK(strcmp(p21_status_name(P21_OK), "P21_OK") == 0);
    tested("p21_status_name");
    p21_test_panic("p21_verdict_hint", 0);
    CHECK(strcmp(p21_verdict_hint(P21_VERDICT_RETRY), "") == 0);
    CHECK(strcmp(p21_verdict_hint(P21_VERDICT_RETRY), "") != 0);
    tested("p21_verdict_hint");
    /* Nothing in these two could panic. */
    CHECK(p21_abi_version() == P21_ABI_VERSION && strlen(p21_version()) > 0);
    tested("p21_abi_version");
    tested("p21_version");
}

int main(void)
{
    const uint64_t before = p21_live_objects();
    char *text;

    CHECK(p21_config_new(&config, NULL) == P21_OK);
    CHECK(p21_config_set(config, "base_url", "http://127.0.0.1:9", NULL) == P21_OK);
    CHECK(p21_config_set(config, "access_token", "abc", NULL) == P21_OK);
    CHECK(p21_client_new(config, &client, NULL) == P21_OK);
    statuses();
    values();
    CHECK(p21_token_get(client, 0, 0, &text, NULL) == P21_OK);
    FREE(p21_free, text);
    FREE(p21_error_free, failure);
    FREE(p21_token_free, snapshot);
    FREE(p21_client_free, client);
    FREE(p21_config_free, config);
    CHECK(p21_live_objects() == before);
    return 0;
}
