/* A set-uid program that someone else starts, with an environment of his choice.
 *
 *     setuid BASE_URL CA_FILE     both are taken for the program's own
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "check.h"
#include "p21auth.h"

static p21_config *configured(const char *base_url, const char *ca_file)
{
    p21_config *config = NULL;

    CHECK(p21_config_new(&config, NULL) == P21_OK);
    CHECK(p21_config_set(config, "base_url", base_url, NULL) == P21_OK);
    CHECK(p21_config_set(config, "username", "demo", NULL) == P21_OK);
    CHECK(p21_config_set(config, "password", "demo-password", NULL) == P21_OK);
    CHECK(p21_config_set(config, "timeout_ms", "20000", NULL) == P21_OK);
    CHECK(p21_config_set(config, "max_retries", "0", NULL) == P21_OK);
    if (ca_file != NULL)
        CHECK(p21_config_set(config, "ca_file", ca_file, NULL) == P21_OK);
    return config;
}

/* The call fills `err`, and says why. */
#define REFUSES(call) \
    do { \
        CHECK((call) == P21_E_CONFIG); \
        CHECK(strstr(p21_error_message(err), "set-uid") != NULL); \
        p21_error_free(err); \
    } while (0)

int main(int argc, char **argv)
{
    p21_config *config;
    p21_client *client = NULL;
    p21_error *err = NULL;
    char *text = NULL;

    CHECK(argc == 3);
    CHECK(getauxval(AT_SECURE) != 0 && geteuid() == 0 && getuid() != 0);

    /* What the caller chooses decides nothing. */
    config = configured(argv[1], argv[2]);
    REFUSES(p21_config_load_env(config, NULL, &err));
    REFUSES(p21_config_load_env(config, "OTHER_", &err));
    REFUSES(p21_client_new(config, &client, &err));
    p21_config_free(config);
    REFUSES(p21_token_get(NULL, 0, 0, &text, &err));
    REFUSES(p21_token_get(NULL, P21_NO_WAIT, 0, &text, &err));
    REFUSES(p21_ui_url(NULL, 0, 0, &text, &err));
    REFUSES(p21_client_stats(NULL, &text, &err));
    REFUSES(p21_client_update(NULL, NULL, &err));
    config = configured(argv[1], argv[2]);
    CHECK(p21_config_set(config, "store", "file", NULL) == P21_OK);
    REFUSES(p21_client_new(config, &client, &err));
    REFUSES(p21_token_request(config, &text, &err));
    p21_config_free(config);

    /* Neither his proxy nor his authorities: the request goes straight to the server, and the server is not trusted. */
    config = configured(argv[1], NULL);
    CHECK(p21_client_new(config, &client, NULL) == P21_OK);
    CHECK(p21_token_get(client, 0, 0, &text, &err) == P21_E_TLS);
    CHECK(strstr(p21_error_hint(err), "SSL_CERT_FILE") == NULL);
    p21_error_free(err);
    p21_client_free(client);
    p21_config_free(config);

    /* What the program says itself counts. */
    config = configured(argv[1], argv[2]);
    CHECK(p21_client_new(config, &client, NULL) == P21_OK);
    CHECK(p21_token_get(client, 0, 0, &text, NULL) == P21_OK);
    p21_free(text);
    p21_client_free(client);
    p21_config_free(config);
    printf("setuid: ok\n");
    return 0;
}
