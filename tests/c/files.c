/* What storage can do to a caller. This program stands between the library and the system: it sees which thread opens what
 * below FOLDER, and can let an opening there hang.
 *
 *     files threads FOLDER BASE_URL   no call opens or looks at anything there on its own thread
 *     files fork FOLDER BASE_URL      the process forks while opening the store's lock file hangs
 *     files hang FOLDER BASE_URL      every call returns within its time although each opening there hangs
 *     files pending FOLDER BASE_URL   the default client opens in the background for a call that must not wait
 *     files profile FOLDER BASE_URL   a profile is read by name and by P21_PROFILE, and blocks no caller if it hangs
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "p21auth.h"

static const char *folder = "?";
/* What hangs: paths below the folder that contain this; in all ways, or in being opened alone. */
static _Atomic(const char *) hanging;
static int only_opening;
static atomic_int seen, caught, stuck;
static char first[512];
static __thread int inside;

static void touches(const char *path, int opens)
{
    const char *hangs = atomic_load(&hanging);

    if (path == NULL || strncmp(path, folder, strlen(folder)) != 0)
        return;
    atomic_fetch_add(&seen, 1);
    if (inside && atomic_fetch_add(&caught, 1) == 0)
        snprintf(first, sizeof first, "%s", path);
    if (hangs != NULL && strstr(path, hangs) != NULL && !inside && (opens || !only_opening)) {
        atomic_fetch_add(&stuck, 1);
        while (atomic_load(&hanging) != NULL)
            usleep(1000);
    }
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    int mode;

    va_start(rest, flags);
    mode = va_arg(rest, int);
    va_end(rest);
    touches(path, 1);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int statx(int at, const char *restrict path, int flags, unsigned mask, struct statx *restrict about)
{
    touches(path, 0);
    return (int)syscall(SYS_statx, at, path, flags, mask, about);
}

DIR *opendir(const char *path)
{
    DIR *(*real)(const char *);

    *(void **)&real = dlsym(RTLD_NEXT, "opendir");
    touches(path, 1);
    return real(path);
}

static char *joined(const char *name)
{
    char *path = NULL;

    CHECK(asprintf(&path, "%s/%s", folder, name) > 0);
    return path;
}

static void put(const char *name, const char *text)
{
    char *path = joined(name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text) && close(file) == 0);
    free(path);
}

static void set(p21_config *config, const char *name, const char *value)
{
    CHECK(p21_config_set(config, name, value, NULL) == P21_OK);
}

static void set_file(p21_config *config, const char *name, const char *file)
{
    char *path = joined(file);

    set(config, name, path);
    free(path);
}

/* Everything that a path can be named for, in a configuration of its own. */
static p21_config *configured(const char *base_url, int which)
{
    p21_config *config = NULL;
    char *store;

    CHECK(p21_config_new(&config, NULL) == P21_OK);
    set(config, "base_url", base_url);
    set(config, "proxy", "direct");
    set(config, "min_refresh_interval_s", "0");
    set(config, "timeout_ms", "20000");
    switch (which) {
    case 0:
        set(config, "username", "demo");
        set_file(config, "password_file", "password");
        break;
    case 1:
        set_file(config, "consumer_key_file", "key");
        break;
    case 2:
        set_file(config, "access_token_file", "token");
        break;
    case 3:
        set(config, "username", "demo");
        set_file(config, "password_file", "password");
        set_file(config, "store_key_file", "key");
        CHECK(asprintf(&store, "file://%s/store", folder) > 0);
        set(config, "store", store);
        free(store);
        break;
    default:
        set(config, "username", "demo");
        set_file(config, "password_file", "password");
        set_file(config, "ca_file", "ca.pem");
        break;
    }
    return config;
}

#define KINDS 5

/* The calls of one client, each with its flags. What they return is not the matter here. */
static void calls(p21_config *config, p21_client *client, uint32_t wait_ms)
{
    static const uint32_t flags[] = {0, P21_FORCE_REFRESH, P21_CACHED_ONLY, P21_NO_WAIT};
    char *text = NULL;
    char buffer[4096];
    size_t length;
    p21_token *snapshot = NULL;
    int32_t verdict;
    const uint64_t *word;
    size_t i;

    inside = 1;
    for (i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        p21_token_get(client, flags[i], wait_ms, &text, NULL);
        p21_free(text);
        p21_token_copy(client, flags[i], wait_ms, buffer, sizeof buffer, &length, NULL);
        p21_token_snapshot(client, flags[i], wait_ms, 0, &snapshot, NULL);
        p21_token_free(snapshot);
        p21_ui_url(client, flags[i], wait_ms, &text, NULL);
        p21_free(text);
    }
    if (p21_token_get(client, 0, wait_ms, &text, NULL) == P21_OK) {
        p21_token_report(client, text, 401, NULL, 0, &verdict, NULL);
        p21_free(text);
    }
    p21_token_invalidate(client, NULL, NULL);
    p21_token_get(client, 0, wait_ms, &text, NULL);
    p21_free(text);
    p21_client_stats(client, &text, NULL);
    p21_free(text);
    p21_client_generation(client, &word, NULL);
    if (config != NULL) {
        p21_client_update(client, config, NULL);
        p21_token_request(config, &text, NULL);
        p21_free(text);
        p21_doctor(config, P21_DOCTOR_TOKEN, wait_ms, &text, NULL);
        p21_free(text);
    } else {
        p21_client_update(NULL, NULL, NULL);
        p21_doctor(NULL, P21_DOCTOR_TOKEN, wait_ms, &text, NULL);
        p21_free(text);
    }
    inside = 0;
}

static void load(const char *file)
{
    p21_config *config = NULL;
    char *path = joined(file);

    inside = 1;
    CHECK(p21_config_new(&config, NULL) == P21_OK);
    p21_config_load_file(config, path, NULL);
    p21_config_free(config);
    inside = 0;
    free(path);
}

static void default_client(const char *base_url)
{
    char *password = joined("password");

    CHECK(setenv("P21_BASE_URL", base_url, 1) == 0 && setenv("P21_USERNAME", "demo", 1) == 0);
    CHECK(setenv("P21_PASSWORD_FILE", password, 1) == 0 && unsetenv("P21_PASSWORD") == 0);
    CHECK(setenv("P21_PROXY", "direct", 1) == 0);
    free(password);
}

static void files(void)
{
    put("password", "demo-password\n");
    put("key", "00000000-0000-4000-8000-000000000001\n");
    put("token", "an-opaque-token\n");
    put(".env", "P21_USERNAME=demo\n");
}

static void threads(const char *base_url)
{
    p21_client *client = NULL;
    int which;

    for (which = 0; which < KINDS; which++) {
        p21_config *config = configured(base_url, which);
        int before = atomic_load(&seen);

        inside = 1;
        CHECK(p21_client_new(config, &client, NULL) == P21_OK);
        inside = 0;
        calls(config, client, 0);
        inside = 1;
        p21_client_free(client);
        p21_config_free(config);
        inside = 0;
        CHECK(atomic_load(&seen) > before);
    }
    load(".env");
    default_client(base_url);
    calls(NULL, NULL, 0);
    if (caught > 0)
        fprintf(stderr, "%d times a caller's thread touched a file, first %s\n", caught, first);
    CHECK(caught == 0);
}

static double now(void)
{
    struct timespec time;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void wait_until_stuck(void)
{
    while (atomic_load(&stuck) == 0)
        usleep(1000);
}

/* A child must come into the world, and use its client, while a thread of its parent is stuck on storage. */
static void forks(const char *base_url)
{
    p21_config *config = configured(base_url, 3);
    p21_client *client = NULL;
    p21_error *err = NULL;
    char *text = NULL;
    int status = 0;
    pid_t child;

    CHECK(p21_client_new(config, &client, NULL) == P21_OK);
    only_opening = 1;
    atomic_store(&hanging, ".lock");
    CHECK(p21_token_get(client, 0, 200, &text, &err) == P21_E_TIMEOUT);
    p21_error_free(err);
    wait_until_stuck();
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        /* The storage is well again, as far as this process is concerned. */
        atomic_store(&hanging, NULL);
        _exit(p21_token_get(client, 0, 0, &text, NULL) == P21_OK ? 0 : 3);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    /* And every slow path of the parent goes on. */
    CHECK(p21_client_stats(client, &text, NULL) == P21_OK);
    p21_free(text);
    atomic_store(&hanging, NULL);
    CHECK(p21_token_get(client, 0, 0, &text, NULL) == P21_OK);
    p21_free(text);
    p21_client_free(client);
    p21_config_free(config);
}

/* Each call has 100 ms. A call that waited for the storage would wait indefinitely. */
static void hangs(const char *base_url)
{
    p21_client *clients[KINDS];
    p21_config *configs[KINDS];
    char *path = joined("");
    p21_client *client = NULL;
    p21_error *err = NULL;
    double began;
    int which;

    for (which = 0; which < KINDS; which++) {
        configs[which] = configured(base_url, which);
        CHECK(p21_client_new(configs[which], &clients[which], NULL) == P21_OK);
        set(configs[which], "timeout_ms", "100");
    }
    default_client(base_url);
    CHECK(setenv("P21_TIMEOUT_MS", "100", 1) == 0);
    atomic_store(&hanging, path);
    began = now();
    for (which = 0; which < KINDS; which++) {
        CHECK(p21_client_new(configs[which], &client, &err) == P21_E_TIMEOUT);
        CHECK(strstr(p21_error_message(err), folder) != NULL && strstr(p21_error_message(err), "_file: ") != NULL);
        CHECK(p21_error_is_retryable(err) == 1);
        p21_error_free(err);
        calls(configs[which], clients[which], 100);
    }
    calls(NULL, NULL, 100);
    load(".env");
    CHECK(caught == 0 && stuck > 0);
    /* A generous bound for some 150 calls: none of them hung. */
    CHECK(now() - began < 60);
    atomic_store(&hanging, NULL);
    for (which = 0; which < KINDS; which++) {
        p21_client_free(clients[which]);
        p21_config_free(configs[which]);
    }
    free(path);
}

/* Storage hangs, and no call notices; when it is well again the token comes, or the reason why there is none. */
static void pends(const char *base_url)
{
    char *path = joined("password");
    char *text = NULL;
    p21_error *err = NULL;
    p21_status status;
    int i;

    default_client(base_url);
    atomic_store(&hanging, path);
    inside = 1;
    for (i = 0; i < 3; i++) {
        CHECK(p21_token_get(NULL, P21_NO_WAIT, 0, &text, NULL) == P21_E_PENDING);
        CHECK(p21_ui_url(NULL, P21_NO_WAIT, 0, &text, NULL) == P21_E_PENDING);
    }
    wait_until_stuck();
    CHECK(unlink(path) == 0);
    atomic_store(&hanging, NULL);
    while ((status = p21_token_get(NULL, P21_NO_WAIT, 0, &text, &err)) == P21_E_PENDING) {
        p21_error_free(err);
        usleep(1000);
    }
    CHECK(status == P21_E_CONFIG && strstr(p21_error_message(err), path) != NULL);
    p21_error_free(err);
    put("password", "demo-password\n");
    while ((status = p21_token_get(NULL, P21_NO_WAIT, 0, &text, NULL)) == P21_E_PENDING)
        usleep(1000);
    CHECK(status == P21_OK && caught == 0);
    inside = 0;
    p21_free(text);
    free(path);
}

static void profiles_toml(const char *base_url)
{
    char *directory = joined("p21auth");
    char *text;

    CHECK(mkdir(directory, 0700) == 0);
    CHECK(asprintf(&text,
                   "[play]\nbase_url = \"%s\"\nproxy = \"direct\"\nusername = \"demo\"\n"
                   "password_from = \"file:%s/password\"\n[bad]\npassword = \"hunter2\"\n",
                   base_url, folder) > 0);
    put("p21auth/profiles.toml", text);
    free(text);
    free(directory);
    CHECK(setenv("XDG_CONFIG_HOME", folder, 1) == 0);
    CHECK(unsetenv("P21_BASE_URL") == 0 && unsetenv("P21_USERNAME") == 0 && unsetenv("P21_PASSWORD") == 0);
}

/* What comes of a profile, with this password set before it is loaded. */
static p21_status by_profile(const char *name, const char *password, p21_error **err)
{
    p21_config *config = NULL;
    p21_client *client = NULL;
    char *token = NULL;
    p21_status status;

    CHECK(p21_config_new(&config, NULL) == P21_OK);
    if (password != NULL)
        set(config, "password", password);
    status = p21_config_load_profile(config, name, err);
    if (status == P21_OK)
        status = p21_client_new(config, &client, err);
    if (status == P21_OK)
        status = p21_token_get(client, 0, 0, &token, err);
    p21_free(token);
    p21_client_free(client);
    p21_config_free(config);
    return status;
}

static void profile(const char *base_url)
{
    p21_error *err = NULL;
    char *text = NULL;
    p21_status status;
    double began;
    int i;

    profiles_toml(base_url);
    inside = 1;
    CHECK(by_profile("play", NULL, NULL) == P21_OK);
    CHECK(by_profile("play", "wrong", NULL) == P21_E_UNAUTHORIZED);
    CHECK(by_profile("none", NULL, &err) == P21_E_CONFIG);
    CHECK(strstr(p21_error_message(err), "no profile 'none'") && strstr(p21_error_hint(err), "play, bad"));
    p21_error_free(err);
    CHECK(by_profile("bad", NULL, &err) == P21_E_CONFIG);
    CHECK(strstr(p21_error_message(err), "password is a secret") && !strstr(p21_error_message(err), "hunter2"));
    p21_error_free(err);
    CHECK(by_profile(NULL, NULL, NULL) == P21_E_NULL_ARGUMENT);
    CHECK(p21_config_load_profile(NULL, "play", NULL) == P21_E_NULL_ARGUMENT);

    atomic_store(&hanging, "profiles.toml");
    began = now();
    CHECK(by_profile("play", NULL, &err) == P21_E_TIMEOUT && strstr(p21_error_message(err), "profiles.toml"));
    p21_error_free(err);
    CHECK(now() - began < 60);
    CHECK(setenv("P21_PROFILE", "play", 1) == 0);
    for (i = 0; i < 3; i++) {
        CHECK(p21_token_get(NULL, P21_NO_WAIT, 0, &text, NULL) == P21_E_PENDING);
        CHECK(p21_token_get(NULL, P21_CACHED_ONLY, 0, &text, NULL) == P21_E_NO_CACHED_TOKEN);
    }
    atomic_store(&hanging, NULL);
    while ((status = p21_token_get(NULL, P21_NO_WAIT, 0, &text, NULL)) == P21_E_PENDING)
        usleep(1000);
    CHECK(status == P21_OK && caught == 0);
    inside = 0;
    p21_free(text);
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    folder = argv[2];
    files();
    alarm(110);
    if (strcmp(argv[1], "threads") == 0)
        threads(argv[3]);
    else if (strcmp(argv[1], "fork") == 0)
        forks(argv[3]);
    else if (strcmp(argv[1], "hang") == 0)
        hangs(argv[3]);
    else if (strcmp(argv[1], "pending") == 0)
        pends(argv[3]);
    else if (strcmp(argv[1], "profile") == 0)
        profile(argv[3]);
    else
        CHECK(!"a mode");
    printf("files: %s ok\n", argv[1]);
    return 0;
}
