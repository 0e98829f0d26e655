/* A process at its limits: descriptors, threads, memory. Each call works or says P21_E_NO_MEMORY, and works again afterward.
 *
 *     limits descriptors FOLDER BASE_URL   this many descriptors are free: none, one, two ...
 *     limits threads FOLDER BASE_URL       this many threads may be started; needs root
 *     limits memory FOLDER BASE_URL        so much address space is left; small allocations that fail end the process
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "p21auth.h"

static const char *folder, *base_url;
static int worked, refused;

/* The status of a call that may have met a limit. */
static void may_lack(const char *call, p21_status status, p21_error *err)
{
    if (status == P21_OK)
        worked++;
    else if (status == P21_E_NO_MEMORY && (err == NULL || p21_error_is_retryable(err) == 1))
        refused++;
    else {
        fprintf(stderr, "%s: %s: %s\n", call, p21_status_name(status), err == NULL ? "" : p21_error_message(err));
        exit(1);
    }
    p21_error_free(err);
}

/* Each number is an identity and an HTTP client of its own. */
static p21_config *configured(int number)
{
    p21_config *config = NULL;
    char text[4096];

    CHECK(p21_config_new(&config, NULL) == P21_OK);
    CHECK(p21_config_set(config, "base_url", base_url, NULL) == P21_OK);
    CHECK(p21_config_set(config, "proxy", "direct", NULL) == P21_OK);
    CHECK(p21_config_set(config, "username", "demo", NULL) == P21_OK);
    CHECK(p21_config_set(config, "max_retries", "0", NULL) == P21_OK);
    CHECK(p21_config_set(config, "timeout_ms", "20000", NULL) == P21_OK);
    snprintf(text, sizeof text, "%s/password", folder);
    CHECK(p21_config_set(config, "password_file", text, NULL) == P21_OK);
    snprintf(text, sizeof text, "%d", 8000 + number);
    CHECK(p21_config_set(config, "connect_timeout_ms", text, NULL) == P21_OK);
    return config;
}

static void calls(p21_config *config, p21_client *open)
{
    p21_client *client = NULL;
    p21_config *loaded = NULL;
    p21_error *err = NULL;
    char *text = NULL;
    char path[4096];
    p21_status status;

    /* A client that is open already, and has no token. */
    status = p21_token_get(open, 0, 0, &text, &err);
    may_lack("p21_token_get", status, err);
    p21_free(text);
    err = NULL;
    status = p21_ui_url(open, 0, 0, &text, &err);
    may_lack("p21_ui_url", status, err);
    p21_free(text);
    err = NULL;
    status = p21_client_new(config, &client, &err);
    may_lack("p21_client_new", status, err);
    p21_client_free(client);
    err = NULL;
    status = p21_token_request(config, &text, &err);
    may_lack("p21_token_request", status, err);
    p21_free(text);
    err = NULL;
    status = p21_client_update(open, config, &err);
    may_lack("p21_client_update", status, err);
    err = NULL;
    CHECK(p21_config_new(&loaded, NULL) == P21_OK);
    snprintf(path, sizeof path, "%s/.env", folder);
    status = p21_config_load_file(loaded, path, &err);
    may_lack("p21_config_load_file", status, err);
    p21_config_free(loaded);
    err = NULL;
    status = p21_doctor(config, 0, 0, &text, &err);
    may_lack("p21_doctor", status, err);
    p21_free(text);
    CHECK(p21_client_stats(open, &text, NULL) == P21_OK);
    p21_free(text);
}

static void works_again(p21_client *open)
{
    p21_error *err = NULL;
    char *text = NULL;
    p21_status status;

    CHECK(p21_token_invalidate(open, NULL, NULL) == P21_OK);
    status = p21_token_get(open, 0, 0, &text, &err);
    if (status != P21_OK)
        fprintf(stderr, "afterward: %s\n", p21_error_message(err));
    CHECK(status == P21_OK);
    p21_free(text);
}

static void descriptors(void)
{
    struct rlimit limit;
    int spare, held[512];
    int count = 0;

    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 400;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (spare = 0; spare <= 14; spare++) {
        p21_config *config = configured(spare);
        p21_client *client = NULL;
        int i;

        CHECK(p21_client_new(config, &client, NULL) == P21_OK);
        for (count = 0; count < 512; count++) {
            held[count] = open("/dev/null", O_RDONLY | O_CLOEXEC);
            if (held[count] < 0)
                break;
        }
        CHECK(errno == EMFILE && count > 14);
        for (i = 0; i < spare; i++)
            close(held[--count]);
        calls(config, client);
        while (count > 0)
            close(held[--count]);
        works_again(client);
        p21_client_free(client);
        p21_config_free(config);
    }
}

/* Runs in a child; what it met is its exit status: 0, or the signal that ended it. */
static int in_child(void (*work)(int), int number)
{
    int status = 0;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        worked = refused = 0;
        work(number);
        _exit(refused > 0 ? 0 : 2);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status))
        return WTERMSIG(status);
    CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 2);
    if (WEXITSTATUS(status) == 0)
        refused++;
    else
        worked++;
    return 0;
}

static void few_threads(int spare)
{
    p21_config *config = configured(spare);
    p21_client *client = NULL;
    struct rlimit limit;

    CHECK(p21_client_new(config, &client, NULL) == P21_OK);
    /* No one else's, so that all that counts is what is here; root has no such limit. */
    CHECK(setresuid(61234, 61234, 61234) == 0);
    CHECK(getrlimit(RLIMIT_NPROC, &limit) == 0);
    limit.rlim_cur = (rlim_t)(1 + spare);
    CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
    calls(config, client);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
    works_again(client);
}

static void threads(void)
{
    int spare;

    for (spare = 0; spare <= 6; spare++)
        CHECK(in_child(few_threads, spare) == 0);
}

static long address_space(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    CHECK(file != NULL && fscanf(file, "%ld", &pages) == 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void little_memory(int step)
{
    p21_config *config = configured(step);
    p21_client *client = NULL;
    struct rlimit limit;
    long now;

    CHECK(p21_client_new(config, &client, NULL) == P21_OK);
    now = address_space();
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = (rlim_t)(now + step * 131072L);
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    calls(config, client);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    works_again(client);
}

static void memory(void)
{
    int step, aborted = 0;

    for (step = 0; step <= 60; step += 2) {
        int ended = in_child(little_memory, step);

        /* An allocation of the library or of what is below it failed; docs/fork-threads-unload.md says so. */
        CHECK(ended == 0 || ended == SIGABRT);
        if (ended != 0)
            aborted++;
    }
    fprintf(stdout, "aborted: %d\n", aborted);
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    folder = argv[2];
    base_url = argv[3];
    alarm(600);
    if (strcmp(argv[1], "descriptors") == 0)
        descriptors();
    else if (strcmp(argv[1], "threads") == 0)
        threads();
    else if (strcmp(argv[1], "memory") == 0)
        memory();
    else
        CHECK(!"a mode");
    CHECK(worked > 0 && refused > 0);
    printf("limits: %s ok: %d worked, %d refused\n", argv[1], worked, refused);
    return 0;
}
