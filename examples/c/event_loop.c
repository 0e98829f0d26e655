/* An event loop must not wait: P21_NO_WAIT starts the request in the background and answers P21_E_PENDING until the token is
 * there.
 *
 * Reads the P21_... environment.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>

#include "p21auth.h"

/* Stands in for the loop's timer. */
static void one_turn_of_the_loop(int64_t ms)
{
    struct timespec time;

    time.tv_sec = ms / 1000;
    time.tv_nsec = (ms % 1000) * 1000000;
    nanosleep(&time, NULL);
}

int main(void)
{
    char *token;
    p21_error *err;
    int64_t wait;
    long turns = 0;

    for (;;) {
        p21_status status = p21_token_get(NULL, P21_NO_WAIT, 0, &token, &err);

        if (status == P21_OK) {
            break;
        }
        if (status != P21_E_PENDING) {
            fprintf(stderr, "%s\n%s\n", p21_error_message(err), p21_error_hint(err));
            p21_error_free(err);
            return 1;
        }
        /* Where it is known how long nothing will happen, it is said. */
        wait = p21_error_retry_after_ms(err);
        p21_error_free(err);
        one_turn_of_the_loop(wait > 0 ? wait : 1);
        turns++;
    }
    printf("a token after %ld turn%s\n", turns, turns == 1 ? "" : "s");
    p21_free(token);
    return 0;
}
