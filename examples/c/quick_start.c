/* The smallest integration: no configuration code, three functions.
 *
 * Set P21_BASE_URL and P21_USERNAME with P21_PASSWORD, or P21_CONSUMER_KEY, then
 *
 *     cc quick_start.c -lp21auth -o quick_start && ./quick_start
 */
#include <stdio.h>

#include "p21auth.h"

int main(void)
{
    char *header;
    char *ui_url;
    p21_error *err;

    /* NULL is the default client: opened from the environment at first use, shared by the whole process. */
    if (p21_token_get(NULL, P21_WITH_SCHEME, 0, &header, &err) != P21_OK) {
        fprintf(stderr, "no token: %s\n%s\n", p21_error_message(err), p21_error_hint(err));
        p21_error_free(err);
        return 1;
    }
    /* header is the whole value of the Authorization header. Ask for it before every call: it costs next to nothing. */
    printf("Authorization: %.12s...\n", header);
    p21_free(header);

    if (p21_ui_url(NULL, 0, 0, &ui_url, NULL) == P21_OK) {
        printf("UI server: %s\n", ui_url);
        p21_free(ui_url);
    }
    return 0;
}
