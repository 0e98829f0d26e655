/* Reads P21_BASE_URL, P21_USERNAME and P21_PASSWORD (or P21_CONSUMER_KEY) from the environment. */
#include <stdio.h>
#include <string.h>

#include "p21auth.h"

int main(void)
{
    char *header = NULL, *url = NULL;
    p21_error *error = NULL;

    /* NULL is the default client. The first call asks the server; the next ones, in any thread, take nanoseconds. */
    if (p21_token_get(NULL, P21_WITH_SCHEME, 0, &header, &error) != P21_OK ||
        p21_ui_url(NULL, 0, 0, &url, &error) != P21_OK) {
        fprintf(stderr, "%s\n%s\n", p21_error_message(error), p21_error_hint(error));
        p21_error_free(error);
        p21_free(header);
        return 1;
    }
    printf("Authorization: Bearer ... (%zu characters)\n", strlen(header));
    printf("UI server: %s\n", url);
    p21_free(header);
    p21_free(url);
    return 0;
}
