/* An Interactive API session belongs to the token that opened it. A snapshot keeps that token while the rest of the program
 * moves on to newer ones.
 *
 * Reads the P21_... environment.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>

#include "http.h"
#include "p21auth.h"

int main(void)
{
    char body[4096], *ui_url, *other;
    p21_token *session;
    p21_error *err;
    int opened, closed;

    if (p21_ui_url(NULL, 0, 0, &ui_url, &err) != P21_OK) {
        fprintf(stderr, "%s\n%s\n", p21_error_message(err), p21_error_hint(err));
        p21_error_free(err);
        return 1;
    }
    /* A token that is good for ten minutes: about as long as the session will be open. */
    if (p21_token_snapshot(NULL, P21_WITH_SCHEME, 0, 600, &session, &err) != P21_OK) {
        fprintf(stderr, "%s\n%s\n", p21_error_message(err), p21_error_hint(err));
        p21_error_free(err);
        p21_free(ui_url);
        return 1;
    }
    opened = http("POST", ui_url, "/api/ui/interactive/sessions/", p21_token_value(session), body, sizeof body);
    printf("open: HTTP %d, session token good for %d s\n", opened, (int)p21_token_expires_in(session));

    /* Meanwhile another part of the program gets a new token. */
    if (p21_token_get(NULL, P21_FORCE_REFRESH, 0, &other, NULL) == P21_OK) {
        p21_free(other);
    }

    /* Only the token that opened the session can close it. */
    closed = http("DELETE", ui_url, "/api/ui/interactive/sessions/", p21_token_value(session), body, sizeof body);
    printf("close: HTTP %d\n", closed);
    p21_token_free(session);
    p21_free(ui_url);
    return opened / 100 == 2 && closed / 100 == 2 ? 0 : 1;
}
