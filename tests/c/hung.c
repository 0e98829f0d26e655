/* Storage that really does not answer: a file system of FUSE whose server never says a word is mounted over FOLDER, and
 * everything that looks at a path below it hangs until it is gone. Needs root.
 *
 *     hung FOLDER BASE_URL
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "p21auth.h"

#define KINDS 3

static const char *folder, *base_url;
static int server = -1;

static void hang(void)
{
    char how[128];

    server = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (server >= 0) {
        snprintf(how, sizeof how, "fd=%d,rootmode=40000,user_id=0,group_id=0", server);
        if (mount("hung", folder, "fuse", 0, how) == 0)
            return;
    }
    printf("== NOT TESTED: storage that hangs: no file system can be mounted here\n");
    exit(0);
}

static void heal(void)
{
    CHECK(umount2(folder, MNT_DETACH) == 0);
    /* What waits for the server ends with an error now. */
    CHECK(close(server) == 0);
}

static void set(p21_config *config, const char *name, const char *value)
{
    CHECK(p21_config_set(config, name, value, NULL) == P21_OK);
}

static void set_path(p21_config *config, const char *name, const char *form)
{
    char text[4096];

    snprintf(text, sizeof text, form, folder);
    set(config, name, text);
}

static p21_config *configured(int which)
{
    p21_config *config = NULL;

    CHECK(p21_config_new(&config, NULL) == P21_OK);
    set(config, "base_url", base_url);
    set(config, "proxy", "direct");
    set(config, "username", "demo");
    set(config, "min_refresh_interval_s", "0");
    if (which == 0)
        set_path(config, "password_file", "%s/password");
    else
        set(config, "password", "demo-password");
    if (which == 1)
        set_path(config, "ca_file", "%s/ca.pem");
    if (which == 2)
        set_path(config, "store", "file://%s/store");
    return config;
}

static double now(void)
{
    struct timespec time;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static char *token(p21_client *client, uint32_t flags, uint32_t wait_ms, p21_status expected)
{
    p21_error *err = NULL;
    char *text = NULL;
    p21_status status = p21_token_get(client, flags, wait_ms, &text, &err);

    if (status != expected)
        fprintf(stderr, "%s: %s\n", p21_status_name(status), err == NULL ? "" : p21_error_message(err));
    CHECK(status == expected);
    p21_error_free(err);
    return text;
}

int main(int argc, char **argv)
{
    p21_config *configs[KINDS];
    p21_client *clients[KINDS], *client = NULL;
    p21_error *err = NULL;
    double began;
    int which, round;

    CHECK(argc == 3);
    folder = argv[1];
    base_url = argv[2];
    alarm(170);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        printf("== NOT TESTED: storage that hangs: this needs root\n");
        return 0;
    }
    for (which = 0; which < KINDS; which++) {
        configs[which] = configured(which);
        CHECK(p21_client_new(configs[which], &clients[which], NULL) == P21_OK);
        p21_free(token(clients[which], 0, 0, P21_OK));
        set(configs[which], "timeout_ms", "300");
    }
    hang();
    began = now();
    for (round = 0; round < 3; round++) {
        int status = 0;
        pid_t child;

        /* Only the secret is needed to go on: without the store, or by the authorities that were read, a token comes. */
        p21_free(token(clients[0], P21_FORCE_REFRESH, 300, P21_E_TIMEOUT));
        p21_free(token(clients[1], P21_FORCE_REFRESH, 20000, P21_OK));
        p21_free(token(clients[2], P21_FORCE_REFRESH, 20000, P21_OK));
        for (which = 0; which < KINDS; which++) {
            p21_free(token(clients[which], 0, 300, P21_OK));
            p21_free(token(clients[which], P21_NO_WAIT, 0, P21_OK));
            p21_free(token(clients[which], P21_CACHED_ONLY, 0, P21_OK));
        }
        for (which = 0; which < 2; which++) {
            CHECK(p21_client_new(configs[which], &client, &err) == P21_E_TIMEOUT);
            p21_error_free(err);
            CHECK(p21_client_update(clients[which], configs[which], NULL) == P21_E_TIMEOUT);
        }
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            for (which = 0; which < KINDS; which++)
                p21_free(token(clients[which], P21_CACHED_ONLY, 0, P21_OK));
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    CHECK(now() - began < 60);
    heal();
    for (which = 0; which < KINDS; which++) {
        char *text = NULL;

        /* A reader that was stuck ends with an error, which anyone who joined it gets too. */
        while (p21_token_get(clients[which], P21_FORCE_REFRESH, 20000, &text, NULL) != P21_OK)
            usleep(10000);
        p21_free(text);
        p21_client_free(clients[which]);
        p21_config_free(configs[which]);
    }
    printf("hung: ok\n");
    return 0;
}
