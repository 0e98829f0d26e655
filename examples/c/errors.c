/* Error handling: what an error tells, and what to do about it. The password here is wrong on purpose.
 *
 * Reads P21_BASE_URL and P21_USERNAME.
 */
#include <stdio.h>

#include "p21auth.h"

static void explain(const p21_error *err)
{
    switch (p21_error_code(err)) {
    case P21_E_UNAUTHORIZED:
        /* Asking again at once would lock the account: the library answers from memory until the cool-down is over. */
        printf("refused; next try in %d s\n", (int)((p21_error_retry_after_ms(err) + 999) / 1000));
        break;
    case P21_E_CONFIG:
    case P21_E_UNKNOWN_OPTION:
        printf("configuration\n");
        break;
    default:
        printf("%s\n", p21_error_is_retryable(err) ? "may pass by itself" : "someone must do something");
        break;
    }
    printf("  status  %s, HTTP %d\n", p21_status_name(p21_error_code(err)), (int)p21_error_http_status(err));
    printf("  message %s\n", p21_error_message(err));
    printf("  hint    %s\n", p21_error_hint(err));
}

int main(void)
{
    p21_config *config;
    p21_client *client;
    p21_error *err;
    char *token;
    int i;

    if (p21_config_new(&config, NULL) != P21_OK) {
        return 1;
    }
    /* A typing error: the hint lists what may have been meant. */
    if (p21_config_set(config, "pasword", "x", NULL) == P21_OK || p21_client_new(config, &client, &err) == P21_OK) {
        return 1;
    }
    explain(err);
    p21_error_free(err);
    p21_config_set(config, "pasword", NULL, NULL);
    p21_config_free(config);

    if (p21_config_new(&config, NULL) != P21_OK) {
        return 1;
    }
    p21_config_load_env(config, NULL, NULL);
    p21_config_set(config, "password", "wrong on purpose", NULL);
    if (p21_client_new(config, &client, &err) != P21_OK) {
        explain(err);
        p21_error_free(err);
        p21_config_free(config);
        return 1;
    }
    p21_config_free(config);
    /* Two calls, one request. */
    for (i = 0; i < 2; i++) {
        if (p21_token_get(client, 0, 0, &token, &err) == P21_OK) {
            p21_free(token);
            p21_client_free(client);
            return 1;
        }
        explain(err);
        p21_error_free(err);
    }
    p21_client_free(client);
    return 0;
}
