/* What the library does with a program's signals, cancellations and stacks, and what it leaves alone.
 *
 *     process signals     SIGTERM is blocked in main and waited for; no thread of the library takes it
 *     process cancel      pthread_cancel is pending at each call and takes effect after it
 *     process stack KIB   every call on a thread whose stack has this many KiB
 *     process alone       handlers, masks, locale, folder, umask, environment stay; no thread before the first request
 *     process quiet       a hit makes no system call: in seccomp's strict mode any other than read, write, exit is death
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <linux/seccomp.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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
    CHECK(!"the thread was not canceled");
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

static int threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;

    CHECK(tasks != NULL);
    while (readdir(tasks) != NULL)
        count++;
    closedir(tasks);
    return count - 2;
}

/* Below the real-time ones, of which the C library keeps some. */
#define SIGNALS 32

/* What belongs to the whole process or to the calling thread. */
typedef struct {
    struct sigaction handlers[SIGNALS];
    sigset_t mask;
    char locale[256];
    char folder[4096];
    mode_t umask;
    int cancel;
    size_t variables;
    const char *variable[512];
} state_t;

static void see(state_t *state)
{
    int signal;

    memset(state, 0, sizeof *state);
    for (signal = 1; signal < SIGNALS; signal++)
        CHECK(sigaction(signal, NULL, &state->handlers[signal]) == 0);
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &state->mask) == 0);
    strncpy(state->locale, setlocale(LC_ALL, NULL), sizeof state->locale - 1);
    CHECK(getcwd(state->folder, sizeof state->folder) != NULL);
    state->umask = umask(0);
    umask(state->umask);
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state->cancel) == 0);
    for (; environ[state->variables] != NULL; state->variables++) {
        CHECK(state->variables < 512);
        state->variable[state->variables] = environ[state->variables];
    }
}

static void alone(void)
{
    static state_t before, after;
    p21_error *err = NULL;
    int signal;
    char *text = NULL;

    umask(027);
    see(&before);
    config = configured();
    CHECK(p21_client_new(config, &client, NULL) == P21_OK);
    CHECK(p21_token_get(client, P21_CACHED_ONLY, 0, &text, &err) == P21_E_NO_CACHED_TOKEN);
    p21_error_free(err);
    CHECK(threads() == 1);
    everything();
    CHECK(threads() > 1);
    see(&after);
    for (signal = 1; signal < SIGNALS; signal++)
        CHECK(after.handlers[signal].sa_handler == before.handlers[signal].sa_handler);
    CHECK(memcmp(&before.mask, &after.mask, sizeof before.mask) == 0);
    CHECK(strcmp(before.locale, after.locale) == 0 && strcmp(before.folder, after.folder) == 0);
    CHECK(before.umask == after.umask && before.cancel == after.cancel);
    CHECK(before.variables == after.variables);
    CHECK(memcmp(before.variable, after.variable, sizeof before.variable) == 0);
    p21_client_free(client);
    p21_config_free(config);
}

/* In a child, which has no other thread: strict mode lets a thread end, but not a process. */
static void quiet(void)
{
    char token[4096];
    size_t len = 0;
    int i, status = 0;
    pid_t child;

    get_hit();
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        get_hit();
        if (p21_token_copy(client, 0, 0, token, sizeof token, &len, NULL) != P21_OK
            || prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
            _exit(2);
        for (i = 0; i < 1000; i++) {
            if (p21_token_copy(client, 0, 0, token, sizeof token, &len, NULL) != P21_OK)
                syscall(SYS_exit, 3);
        }
        syscall(SYS_exit, 42);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

int main(int argc, char **argv)
{
    CHECK(argc >= 2);
    if (strcmp(argv[1], "signals") == 0) {
        signals();
    } else if (strcmp(argv[1], "alone") == 0) {
        alone();
    } else {
        config = configured();
        CHECK(p21_client_new(config, &client, NULL) == P21_OK);
        if (strcmp(argv[1], "cancel") == 0) {
            cancel();
        } else if (strcmp(argv[1], "quiet") == 0) {
            quiet();
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
