/* Calling an API: one more try when, and only when, another token can help.
 *
 * Reads the P21_... environment. The token is spoilt on purpose before the first call.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "p21auth.h"

static int call_api(int spoil)
{
    const char *base_url = getenv("P21_BASE_URL");
    char body[4096], sent[4096], *token;
    p21_error *err;
    int32_t verdict;
    int attempt, status;

    for (attempt = 0; attempt < 2; attempt++) {
        if (p21_token_get(NULL, P21_WITH_SCHEME, 0, &token, &err) != P21_OK) {
            fprintf(stderr, "%s\n%s\n", p21_error_message(err), p21_error_hint(err));
            p21_error_free(err);
            return 0;
        }
        snprintf(sent, sizeof sent, "%s%s", token, spoil && attempt == 0 ? "spoilt" : "");
        status = http("GET", base_url, "/odataservice/odata/table/customer", sent, body, sizeof body);
        if (status != 401 && status != 403) {
            p21_free(token);
            return status;
        }
        /* The token may come with "Bearer " or without. */
        if (p21_token_report(NULL, token, status, (const uint8_t *)body, strlen(body), &verdict, NULL) != P21_OK) {
            verdict = P21_VERDICT_GIVE_UP;
        }
        p21_free(token);
        printf("HTTP %d: %s\n", status, p21_verdict_hint(verdict));
        if (verdict != P21_VERDICT_RETRY) {
            return status;
        }
    }
    return status;
}

int main(void)
{
    int status = call_api(1);

    printf("HTTP %d\n", status);
    return status == 200 ? 0 : 1;
}
