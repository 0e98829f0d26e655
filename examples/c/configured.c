/* Explicit configuration: a client of one's own, for programs that read their settings elsewhere or use several servers.
 *
 * Usage: configured BASE_URL USERNAME PASSWORD
 */
#include <stdio.h>

#include "p21auth.h"

int main(int argc, char **argv)
{
    p21_config *config;
    p21_client *client;
    p21_error *err;
    p21_status status;
    char buffer[4096];
    size_t length;

    if (argc != 4) {
        fprintf(stderr, "usage: %s BASE_URL USERNAME PASSWORD\n", argv[0]);
        return 2;
    }
    if (p21_config_new(&config, NULL) != P21_OK) {
        return 1;
    }
    /* Each call answers a status, but a bad option is remembered: p21_client_new tells all about it. */
    p21_config_set(config, "base_url", argv[1], NULL);
    p21_config_set(config, "username", argv[2], NULL);
    p21_config_set(config, "password", argv[3], NULL);
    p21_config_set(config, "timeout_ms", "20000", NULL);

    status = p21_client_new(config, &client, &err);
    p21_config_free(config);
    if (status != P21_OK) {
        fprintf(stderr, "%s: %s\n%s\n", p21_status_name(status), p21_error_message(err), p21_error_hint(err));
        p21_error_free(err);
        return 1;
    }

    /* Into memory of one's own: the cheapest way. */
    status = p21_token_copy(client, 0, 0, buffer, sizeof buffer, &length, &err);
    if (status == P21_OK) {
        printf("a token of %u bytes\n", (unsigned)length);
    } else {
        fprintf(stderr, "%s: %s\n", p21_status_name(status), p21_error_message(err));
        p21_error_free(err);
    }
    p21_client_free(client);
    return status == P21_OK ? 0 : 1;
}
