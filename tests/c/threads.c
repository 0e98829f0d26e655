/* Many threads on one cold client: one request, the same token for all; then one thread frees what others wait on. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "p21auth.h"

#define THREADS 32

static p21_client *client;
static char *tokens[THREADS];

static void *hit(void *slot)
{
    char buffer[8192];
    size_t length;
    int i;

    CHECK(p21_token_get(client, 0, 0, slot, NULL) == P21_OK);
    for (i = 0; i < 100; i++) {
        CHECK(p21_token_copy(client, 0, 0, buffer, sizeof buffer, &length, NULL) == P21_OK);
        CHECK(strcmp(buffer, *(char **)slot) == 0);
    }
    return NULL;
}

static void *use_until_closed(void *unused)
{
    char buffer[8192];
    size_t length;
    p21_status status;

    do {
        status = p21_token_copy(client, 0, 0, buffer, sizeof buffer, &length, NULL);
    } while (status == P21_OK);
    CHECK(status == P21_E_CLOSED || status == P21_E_INVALID_HANDLE);
    return unused;
}

int main(void)
{
    pthread_t threads[THREADS];
    p21_config *config;
    char *stats;
    int i;

    CHECK(p21_config_new(&config, NULL) == P21_OK);
    CHECK(p21_config_load_env(config, "P21_", NULL) == P21_OK);
    CHECK(p21_client_new(config, &client, NULL) == P21_OK);
    p21_config_free(config);
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, hit, &tokens[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(strcmp(tokens[i], tokens[0]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        p21_free(tokens[i]);
    }
    CHECK(p21_client_stats(client, &stats, NULL) == P21_OK);
    CHECK(strstr(stats, "\"token_requests\":1,") != NULL);
    p21_free(stats);

    for (i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, use_until_closed, NULL) == 0);
    }
    p21_client_free(client);
    for (i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(p21_live_objects() == 0);
    puts("threads: ok");
    return 0;
}
