/* Hits for tests/tools/hits.sh, which counts their instructions: a thousand with a fresh token, and a thousand in its refresh
 * window while the refresh is under way. Time passes in this program only: its clock_gettime takes the place of the C
 * library's, for the library too. The second token request of the server has to hang.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "p21auth.h"

static volatile time_t passed;

int clock_gettime(clockid_t clock, struct timespec *time)
{
    const int status = (int)syscall(SYS_clock_gettime, clock, time);

    if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        time->tv_sec += passed;
    return status;
}

static p21_client *client;

static void hit(void)
{
    char token[8192];
    size_t length;

    CHECK(p21_token_copy(client, 0, 0, token, sizeof token, &length, NULL) == P21_OK);
}

/* Named on the command line of callgrind. */
void hits_fresh(void);
void hits_in_the_window(void);

void hits_fresh(void)
{
    int i;

    for (i = 0; i < 1000; i++)
        hit();
}

void hits_in_the_window(void)
{
    int i;

    for (i = 0; i < 1000; i++)
        hit();
}

int main(void)
{
    p21_config *config;

    CHECK(p21_config_new(&config, NULL) == P21_OK);
    CHECK(p21_config_load_env(config, "P21_", NULL) == P21_OK);
    CHECK(p21_client_new(config, &client, NULL) == P21_OK);
    hit();
    hits_fresh();
    /* A token of a day has 300 s of window, shrunk by 30 s at most, and is waited for in its last 30 s. */
    passed = 24 * 60 * 60 - 200;
    hit();
    hits_in_the_window();
    return 0;
}
