/* What the library does with a program's signals, cancellations and stacks.
 *
 *     process signals     SIGTERM is blocked in main and waited for; no thread of the library takes it
 *     process cancel      pthread_cancel is pending at each call and takes effect after it
 *     process stack KIB   every call on a thread whose stack has so many KiB
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "p21auth.h"

static p21_config *configured(void)
{
    p21_config *config = NULL;

    CHECK(p21_config_new(&config, NULL) == P21_OK);
    CHECK(p21_config_load_env(config, NULL, NULL) == P21_OK);
    return config;
}

/* Each thread of the process but this one must block SIGTERM, or the process ends here. */
static void signals(void)
{
    p21_config *config = configured();
    p21_client *client = NULL;
    char *text = NULL;
    sigset_t set;
    int which = 0;

    CHECK(p21_client_new(config, &client, NULL) == P21_OK);
    CHECK(p21_token_get(client, 0, 0, &text, NULL) == P21_OK);
    p21_free(text);
    CHECK(p21_ui_url(client, 0, 0, &text, NULL) == P21_OK);
    p21_free(text);
    CHECK(p21_token_request(config, &text, NULL) == P21_OK);
    p21_free(text);
    /* Only now: threads that inherit the mask from this one would hide what is tested. */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGXFSZ);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    CHECK(kill(getpid(), SIGTERM) == 0 && sigwait(&set, &which) == 0 && which == SIGTERM);
    CHECK(kill(getpid(), SIGXFSZ) == 0 && sigwait(&set, &which) == 0 && which == SIGXFSZ);
    CHECK(kill(getpid(), SIGUSR1) == 0 && sigwait(&set, &which) == 0 && which == SIGUSR1);
    p21_client_free(client);
    p21_config_free(config);
}

static p21_config *config;
static p21_client *client;
static int reached;

static void open_one(void)
{
    p21_client *made = NULL;

    CHECK(p21_client_new(config, &made, NULL) == P21_OK);
    p21_client_free(made);
}

static void get_cold(void)
{
    char *text = NULL;

    CHECK(p21_token_invalidate(client, NULL, NULL) == P21_OK);
    CHECK(p21_token_get(client, 0, 0, &text, NULL) == P21_OK);
    p21_free(text);
}

static void get_hit(void)
{
    char *text = NULL;

    CHECK(p21_token_get(client, 0, 0, &text, NULL) == P21_OK);
    p21_free(text);
}

static void load_file(void)
{
    p21_error *err = NULL;

    CHECK(p21_config_load_file(config, "/dev/null", &err) == P21_OK);
}

static void update(void)
{
    CHECK(p21_client_update(client, config, NULL) == P21_OK);
}

static void everything(void)
{
    char *text = NULL;
    p21_token *snapshot = NULL;
    p21_error *err = NULL;
    uint64_t cursor = 0;
    int32_t verdict = 0;

    load_file();
    open_one();
    update();
    get_cold();
    get_hit();
    CHECK(p21_token_snapshot(client, 0, 0, 0, &snapshot, NULL) == P21_OK);
    CHECK(p21_token_json(snapshot, &text, NULL) == P21_OK);
    p21_free(text);
    CHECK(p21_token_report(client, p21_token_value(snapshot), 403, NULL, 0, &verdict, NULL) == P21_OK);
    p21_token_free(snapshot);
    CHECK(p21_ui_url(client, 0, 0, &text, NULL) == P21_OK);
    p21_free(text);
    CHECK(p21_client_stats(client, &text, NULL) == P21_OK);
    p21_free(text);
    CHECK(p21_token_request(config, &text, NULL) == P21_OK);
    p21_free(text);
    CHECK(p21_doctor(config, P21_DOCTOR_TOKEN, 0, &text, NULL) == P21_OK);
    p21_free(text);
    CHECK(p21_log_read(&cursor, 5, &text, NULL) == P21_OK);
    p21_free(text);
    CHECK(p21_options_json()[0] == '[');
    CHECK(p21_config_set(config, "pasword", "x", &err) == P21_E_UNKNOWN_OPTION);
    CHECK(p21_config_set(config, "pasword", NULL, NULL) == P21_E_UNKNOWN_OPTION);
    p21_error_free(err);
}

/* A cancellation is pending before the call, the call works, and the thread ends at its next cancellation point. */
static void *pending(void *call)
{
    int old = 0;

    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old) == 0);
    CHECK(pthread_cancel(pthread_self()) == 0);
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old) == 0);
    ((void (*)(void))call)();
    reached++;
    pthread_testcancel();
    CHECK(!"the thread was not cancelled");
    return NULL;
}

static void cancel(void)
{
    void (*const calls[])(void) = {open_one, get_cold, get_hit, load_file, update};
    const int count = (int)(sizeof calls / sizeof calls[0]);
    int i;

    for (i = 0; i < count; i++) {
        pthread_t thread;
        void *result = NULL;

        CHECK(pthread_create(&thread, NULL, pending, (void *)calls[i]) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    }
    CHECK(reached == count);
}

static void *small(void *unused)
{
    everything();
    return unused;
}

static void stack(size_t bytes)
{
    pthread_attr_t attributes;
    pthread_t thread;

    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, bytes) == 0);
    CHECK(pthread_create(&thread, &attributes, small, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
}

int main(int argc, char **argv)
{
    CHECK(argc >= 2);
    if (strcmp(argv[1], "signals") == 0) {
        signals();
    } else {
        config = configured();
        CHECK(p21_client_new(config, &client, NULL) == P21_OK);
        if (strcmp(argv[1], "cancel") == 0) {
            cancel();
        } else {
            CHECK(strcmp(argv[1], "stack") == 0 && argc == 3);
            stack((size_t)atoi(argv[2]) * 1024);
        }
        p21_client_free(client);
        p21_config_free(config);
    }
    printf("process: %s ok\n", argv[1]);
    return 0;
}
