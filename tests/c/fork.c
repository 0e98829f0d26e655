/* What forked children can do with what they inherit. Usage: fork children COUNT | fork pool WORKERS
 *
 * A child that hangs is killed and fails the test: the parent waits for the end of a pipe that only the child holds open.
 */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "p21auth.h"

/* Far longer than any child takes on a busy machine. */
#define PATIENCE_MS 120000
#define THREADS 4

static p21_config *config;
/* No one drops this one's token. */
static p21_client *steady;
static p21_client *busy;
static atomic_int stop;

/* In a child a failed check must not run the parent's exit handlers. */
#define CHILD_CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "child, %s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1); \
        } \
    } while (0)

typedef struct {
    pid_t pid;
    int end;
} child_t;

static child_t start(void (*work)(void))
{
    int ends[2];
    child_t child;

    CHECK(pipe(ends) == 0);
    child.pid = fork();
    CHECK(child.pid >= 0);
    if (child.pid == 0) {
        close(ends[0]);
        work();
        _exit(0);
    }
    close(ends[1]);
    child.end = ends[0];
    return child;
}

static void finish(child_t child, int number)
{
    struct pollfd until = {child.end, POLLIN, 0};
    int status = 0;

    if (poll(&until, 1, PATIENCE_MS) != 1) {
        kill(child.pid, SIGKILL);
        fprintf(stderr, "child %d hangs\n", number);
        exit(1);
    }
    CHECK(waitpid(child.pid, &status, 0) == child.pid);
    close(child.end);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void *fetch(void *number)
{
    char buffer[8192];
    size_t length;
    char *text;
    p21_error *err;
    p21_token *snapshot;

    while (!atomic_load(&stop)) {
        switch (*(int *)number) {
        case 0:
            CHECK(p21_token_copy(steady, P21_FORCE_REFRESH, 0, buffer, sizeof buffer, &length, NULL) == P21_OK);
            break;
        case 1:
            CHECK(p21_token_invalidate(busy, NULL, NULL) == P21_OK);
            CHECK(p21_token_get(busy, 0, 0, &text, NULL) == P21_OK);
            p21_free(text);
            break;
        case 2:
            CHECK(p21_client_stats(busy, &text, NULL) == P21_OK);
            p21_free(text);
            CHECK(p21_token_get(busy, 0x80000000U, 0, &text, &err) == P21_E_INVALID_ARGUMENT);
            p21_error_free(err);
            break;
        default:
            CHECK(p21_token_snapshot(steady, 0, 0, 0, &snapshot, NULL) == P21_OK);
            CHECK(p21_token_field(snapshot, "Claims.sub") != NULL);
            p21_token_free(snapshot);
        }
        /* The children need some of the processor too. */
        poll(NULL, 0, 1);
    }
    return NULL;
}

static p21_token *snapshot;
static p21_error *failure;
static char *token;

/* The token at once, another from the server, and everything that was inherited freed. */
static void use_and_free(void)
{
    char cached[8192], fresh[8192];
    size_t length;
    char *text;
    p21_client *own;

    CHILD_CHECK(p21_token_copy(steady, P21_CACHED_ONLY, 0, cached, sizeof cached, &length, NULL) == P21_OK);
    CHILD_CHECK(p21_token_copy(steady, P21_FORCE_REFRESH, 0, fresh, sizeof fresh, &length, NULL) == P21_OK);
    CHILD_CHECK(strcmp(cached, fresh) != 0);
    CHILD_CHECK(p21_token_get(busy, 0, 0, &text, NULL) == P21_OK);
    p21_free(text);
    CHILD_CHECK(strcmp(p21_token_value(snapshot), token) == 0);
    CHILD_CHECK(p21_client_new(config, &own, NULL) == P21_OK);
    p21_client_free(own);
    p21_token_free(snapshot);
    p21_error_free(failure);
    p21_free(token);
    p21_client_free(busy);
    p21_client_free(steady);
    p21_config_free(config);
    CHILD_CHECK(p21_token_get(steady, 0, 0, &text, NULL) == P21_E_INVALID_HANDLE);
}

static void children(int count)
{
    static int numbers[THREADS] = {0, 1, 2, 3};
    pthread_t threads[THREADS];
    int i;

    CHECK(p21_token_get(steady, 0, 0, &token, NULL) == P21_OK);
    CHECK(p21_token_snapshot(steady, P21_CACHED_ONLY, 0, 0, &snapshot, NULL) == P21_OK);
    CHECK(p21_ui_url(steady, 0x80000000U, 0, &(char *){NULL}, &failure) == P21_E_INVALID_ARGUMENT);
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, fetch, &numbers[i]) == 0);
    }
    for (i = 0; i < count; i++) {
        finish(start(use_and_free), i);
    }
    atomic_store(&stop, 1);
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(strcmp(p21_token_value(snapshot), token) == 0);
    p21_token_free(snapshot);
    p21_error_free(failure);
    p21_free(token);
}

static void *hit(void *unused)
{
    char buffer[8192];
    size_t length;
    int i;

    for (i = 0; i < 1000; i++) {
        CHILD_CHECK(p21_token_copy(steady, P21_CACHED_ONLY, 0, buffer, sizeof buffer, &length, NULL) == P21_OK);
    }
    return unused;
}

static void grandchild(void)
{
    char *text;

    CHILD_CHECK(p21_token_get(steady, P21_CACHED_ONLY, 0, &text, NULL) == P21_OK);
    CHILD_CHECK(p21_token_invalidate(steady, NULL, NULL) == P21_OK);
    CHILD_CHECK(p21_token_get(steady, 0, 0, &text, NULL) == P21_OK);
}

/* A worker of a prefork pool: threads of its own, one refresh, a child of its own. Two requests. */
static void worker(void)
{
    pthread_t threads[THREADS];
    char *text;
    int i;

    for (i = 0; i < THREADS; i++) {
        CHILD_CHECK(pthread_create(&threads[i], NULL, hit, NULL) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHILD_CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHILD_CHECK(p21_token_get(steady, P21_FORCE_REFRESH, 0, &text, NULL) == P21_OK);
    p21_free(text);
    finish(start(grandchild), -1);
}

static void pool(int count)
{
    child_t workers[64];
    int i;

    CHECK(count <= 64);
    CHECK(p21_token_get(steady, 0, 0, &token, NULL) == P21_OK);
    for (i = 0; i < count; i++) {
        workers[i] = start(worker);
    }
    for (i = 0; i < count; i++) {
        finish(workers[i], i);
    }
    p21_free(token);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    CHECK(p21_config_new(&config, NULL) == P21_OK);
    CHECK(p21_config_load_env(config, NULL, NULL) == P21_OK);
    CHECK(p21_config_set(config, "min_refresh_interval_s", "0", NULL) == P21_OK);
    CHECK(p21_client_new(config, &steady, NULL) == P21_OK);
    /* Another identity over the same connections. */
    CHECK(p21_config_set(config, "store_timeout_ms", "501", NULL) == P21_OK);
    CHECK(p21_client_new(config, &busy, NULL) == P21_OK);
    if (strcmp(argv[1], "pool") == 0) {
        pool(atoi(argv[2]));
    } else {
        children(atoi(argv[2]));
    }
    p21_client_free(steady);
    p21_client_free(busy);
    p21_config_free(config);
    CHECK(p21_live_objects() == 0);
    puts("fork: ok");
    return 0;
}
