/* Every function of the API in the way it is meant to be used, against the emulator, and nothing left behind. */
#include <string.h>

#include "check.h"
#include "p21auth.h"
#include "p21auth.h"

static p21_config *configured(void)
{
    p21_config *config = NULL;

    CHECK(p21_config_new(&config, NULL) == P21_OK);
    CHECK(p21_config_load_env(config, NULL, NULL) == P21_OK);
    return config;
}

static void library(void)
{
    CHECK(strlen(p21_version()) > 0);
    CHECK(p21_abi_version() == P21_ABI_VERSION);
    CHECK(strcmp(p21_status_name(P21_OK), "P21_OK") == 0);
    CHECK(strcmp(p21_status_name(P21_E_UNAUTHORIZED), "P21_E_UNAUTHORIZED") == 0);
    CHECK(strcmp(p21_status_name(-1), "P21_E_UNKNOWN") == 0);
    CHECK(strstr(p21_options_json(), "\"base_url\"") != NULL);
    CHECK(strlen(p21_verdict_hint(P21_VERDICT_PERMISSION)) > 0);
    CHECK(strcmp(p21_verdict_hint(99), "") == 0);
    p21_free(NULL);
}

static void tokens(const p21_client *client)
{
    char *token = NULL, *again = NULL, *url = NULL, *json = NULL;
    char buffer[8192];
    size_t length = 0;
    p21_error *err = NULL;
    p21_token *snapshot = NULL;
    const uint64_t *word = NULL;
    uint64_t before, cursor = 0;
    int32_t verdict = 0;

    CHECK(p21_token_get(client, 0, 0, &token, &err) == P21_OK && err == NULL);
    CHECK(p21_token_get(client, P21_CACHED_ONLY, 0, &again, NULL) == P21_OK);
    CHECK(strcmp(token, again) == 0);
    p21_free(again);

    CHECK(p21_token_copy(client, P21_WITH_SCHEME, 0, buffer, sizeof buffer, &length, &err) == P21_OK);
    CHECK(length == strlen(buffer) && strncmp(buffer, "Bearer ", 7) == 0 && strcmp(buffer + 7, token) == 0);
    CHECK(p21_token_copy(client, 0, 0, NULL, 0, &length, NULL) == P21_E_BUFFER_TOO_SMALL);
    CHECK(length == strlen(token));

    CHECK(p21_token_snapshot(client, 0, 0, 60, &snapshot, &err) == P21_OK);
    CHECK(strcmp(p21_token_value(snapshot), token) == 0);
    CHECK(strcmp(p21_token_field(snapshot, "TokenType"), "Bearer") == 0);
    CHECK(strcmp(p21_token_field(snapshot, "Claims.sub"), "demo") == 0);
    CHECK(p21_token_field(snapshot, "NoSuchField") == NULL);
    CHECK(p21_token_json(snapshot, &json, NULL) == P21_OK && strstr(json, "\"ExpiresInSeconds\":") != NULL);
    p21_free(json);
    CHECK(p21_token_reuse_ms(snapshot) > 0 && p21_token_reuse_ms(snapshot) <= 60000);
    CHECK(p21_token_expires_in(snapshot) > 0);
    CHECK(p21_token_expires_at(snapshot) > 1700000000);
    CHECK(p21_token_generation(snapshot) > 0);

    CHECK(p21_client_generation(client, &word, NULL) == P21_OK);
    before = *word;
    CHECK(p21_token_report(client, token, 403, (const uint8_t *)"no", 2, &verdict, &err) == P21_OK);
    CHECK(verdict == P21_VERDICT_PERMISSION && *word == before);
    CHECK(p21_token_report(client, token, 401, NULL, 0, &verdict, NULL) == P21_OK);
    CHECK(verdict == P21_VERDICT_RETRY && *word != before);
    CHECK(p21_token_get(client, P21_CACHED_ONLY, 0, &again, &err) == P21_E_NO_CACHED_TOKEN && again == NULL);
    CHECK(p21_error_code(err) == P21_E_NO_CACHED_TOKEN);
    CHECK(p21_error_http_status(err) == 0 && p21_error_is_retryable(err) == 0 && p21_error_retry_after_ms(err) == -1);
    CHECK(strlen(p21_error_message(err)) > 0 && strlen(p21_error_hint(err)) > 0);
    p21_error_free(err);
    CHECK(strcmp(p21_token_value(snapshot), token) == 0);
    p21_token_free(snapshot);
    p21_free(token);

    CHECK(p21_token_invalidate(client, NULL, NULL) == P21_OK);
    CHECK(p21_ui_url(client, 0, 0, &url, &err) == P21_OK && strstr(url, "://") != NULL);
    p21_free(url);
    CHECK(p21_client_stats(client, &json, NULL) == P21_OK && strstr(json, "\"counters\"") != NULL);
    p21_free(json);
    CHECK(p21_log_read(&cursor, 5, &json, NULL) == P21_OK && json != NULL && cursor > 0);
    p21_free(json);
    CHECK(p21_log_read(&cursor, 5, &json, NULL) == P21_OK && json == NULL);
}

static void without_a_cache(p21_config *config)
{
    static const char reply[] = "<a:Token xmlns:a=\"x\"><AccessToken>abc</AccessToken><ExpiresIn>60</ExpiresIn></a:Token>";
    char *json = NULL;
    p21_error *err = NULL;

    CHECK(p21_token_request(config, &json, &err) == P21_OK && strstr(json, "\"AccessToken\":\"") != NULL);
    p21_free(json);
    CHECK(p21_parse_token_response((const uint8_t *)reply, sizeof reply - 1, &json, &err) == P21_OK);
    CHECK(strstr(json, "\"AccessToken\":\"abc\"") != NULL && strstr(json, "\"ExpiresIn\":60") != NULL);
    p21_free(json);
    CHECK(p21_parse_token_response((const uint8_t *)"<html>", 6, &json, &err) == P21_E_PARSE && json == NULL);
    p21_error_free(err);
}

static void misuse(p21_config *config, p21_client *client)
{
    char *token = (char *)config;
    char local = 'x';
    p21_client *none = client;
    p21_error *err = NULL;

    CHECK(p21_token_get((const p21_client *)config, 0, 0, &token, &err) == P21_E_INVALID_HANDLE && token == NULL);
    p21_error_free(err);
    p21_error_free(err);
    CHECK(p21_error_code(err) == P21_E_INVALID_HANDLE && p21_error_message(err) == NULL);
    CHECK(p21_error_code(NULL) == P21_OK && p21_error_message(NULL) == NULL);
    CHECK(p21_token_get((const p21_client *)&local, 0, 0, &token, NULL) == P21_E_INVALID_HANDLE);
    CHECK(p21_token_get(client, 0x80000000U, 0, &token, NULL) == P21_E_INVALID_ARGUMENT);
    CHECK(p21_token_get(client, 0, 0, NULL, NULL) == P21_E_NULL_ARGUMENT);
    CHECK(p21_client_new(NULL, &none, NULL) == P21_E_NULL_ARGUMENT && none == NULL);
    p21_free(&local);
    p21_free(client);
    p21_free(NULL);
    CHECK(local == 'x');
    CHECK(p21_config_set(config, "no_such_option", "1", NULL) == P21_E_UNKNOWN_OPTION);
    CHECK(p21_client_update(client, config, NULL) == P21_E_UNKNOWN_OPTION);
    CHECK(p21_config_set(config, "no_such_option", NULL, NULL) == P21_E_UNKNOWN_OPTION);
    CHECK(p21_config_load_file(config, "/no/such/file", NULL) == P21_E_CONFIG);
}

/* A token freed twice costs no other string, although the next one has the same size. */
static void freed_twice(p21_client *client)
{
    const uint64_t before = p21_live_objects();
    char *first = NULL;
    char *next = NULL;
    int round;

    for (round = 0; round < 10000; round++) {
        CHECK(p21_token_get(client, 0, 0, &first, NULL) == P21_OK);
        p21_free(first);
        CHECK(p21_token_get(client, 0, 0, &next, NULL) == P21_OK && next != first);
        p21_free(first);
        CHECK(p21_live_objects() == before + 1 && strlen(next) > 20);
        p21_free(next);
    }
    CHECK(p21_live_objects() == before);
}

/* Every function that fails says why, with a hint where one leads on. */
static void reasons(p21_client *client)
{
    p21_config *config = NULL;
    p21_error *err = NULL;
    const uint64_t *word = NULL;
    uint64_t cursor = 0;
    char *text = NULL;

#define FAILS(code, call)                                                                                              \
    do {                                                                                                               \
        CHECK((call) == (code) && p21_error_code(err) == (code) && p21_error_message(err)[0] != '\0');                 \
        p21_error_free(err);                                                                                           \
        err = NULL;                                                                                                    \
    } while (0)
    FAILS(P21_E_NULL_ARGUMENT, p21_config_new(NULL, &err));
    CHECK(p21_config_new(&config, &err) == P21_OK && err == NULL);
    CHECK(p21_config_set(config, "pasword", "x", &err) == P21_E_UNKNOWN_OPTION);
    CHECK(strstr(p21_error_hint(err), "password") != NULL);
    p21_error_free(err);
    FAILS(P21_E_CONFIG, p21_config_set(config, "timeout_ms", "soon", &err));
    FAILS(P21_E_NULL_ARGUMENT, p21_config_load_env(NULL, NULL, &err));
    FAILS(P21_E_CONFIG, p21_config_load_file(config, "/no/such/file", &err));
    FAILS(P21_E_NULL_ARGUMENT, p21_client_stats(client, NULL, &err));
    FAILS(P21_E_INVALID_HANDLE, p21_client_generation((const p21_client *)config, &word, &err));
    FAILS(P21_E_INVALID_UTF8, p21_token_invalidate(client, "\xff", &err));
    FAILS(P21_E_NULL_ARGUMENT, p21_token_json(NULL, &text, &err));
    FAILS(P21_E_INVALID_ARGUMENT, p21_log_read(&cursor, 9, &text, &err));
    FAILS(P21_E_INVALID_ARGUMENT, p21_doctor(config, P21_NO_WAIT, 0, &text, &err));
    FAILS(P21_E_INVALID_HANDLE, p21_doctor((const p21_config *)client, 0, 0, &text, &err));
#undef FAILS
    p21_config_free(config);
}

int main(void)
{
    const uint64_t before = p21_live_objects();
    p21_config *config = configured();
    p21_client *client = NULL;
    p21_error *err = NULL;
    char *token = NULL;

    library();
    CHECK(p21_client_new(config, &client, &err) == P21_OK);
    tokens(client);
    freed_twice(client);
    reasons(client);
    CHECK(p21_client_update(client, config, &err) == P21_OK);
    without_a_cache(config);
    misuse(config, client);
    p21_config_free(config);
    p21_config_free(config);
    p21_client_free(client);
    p21_client_free(client);
    CHECK(p21_token_get(client, 0, 0, &token, NULL) == P21_E_INVALID_HANDLE);
    CHECK(p21_live_objects() == before);

    /* The default client counts for nothing. */
    CHECK(p21_token_get(NULL, 0, 0, &token, NULL) == P21_OK);
    p21_free(token);
    CHECK(p21_client_update(NULL, NULL, NULL) == P21_OK);
    CHECK(p21_live_objects() == before);
    puts("api: ok");
    return 0;
}
