#include <stdio.h>

#include "p21auth.h"

int main(void)
{
    char *header, *ui_url;
    p21_error *err;

    /* NULL is the default client, which reads the environment. Get the token before every call: it costs next to nothing. */
    if (p21_token_get(NULL, P21_WITH_SCHEME, 0, &header, &err) != P21_OK) {
        fprintf(stderr, "no token: %s\n%s\n", p21_error_message(err), p21_error_hint(err));
        p21_error_free(err);
        return 1;
    }
    printf("Authorization: %.12s...\n", header);
    p21_free(header);

    if (p21_ui_url(NULL, 0, 0, &ui_url, NULL) == P21_OK) {
        printf("UI server: %s\n", ui_url);
        p21_free(ui_url);
    }
    return 0;
}
