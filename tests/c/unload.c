/* dlopen, use, dlclose, again and again: the library stays in memory, so that threads which end later find the code of
 * their destructors. Then exit with a request under way. Usage: unload LIBRARY [hang|busy]
 */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "check.h"
#include "p21auth.h"

#define ROUNDS 200
#define THREADS 4

typedef p21_status (*get_function)(const p21_client *, uint32_t, uint32_t, char **, p21_error **);
typedef void (*free_function)(void *);

static get_function get;
static free_function release;
static sem_t called, closed;

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);

    CHECK(found != NULL);
    return found;
}

static void *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    CHECK(library != NULL);
    /* C has no cast from void * to a function. */
    *(void **)&get = symbol(library, "p21_token_get");
    *(void **)&release = symbol(library, "p21_free");
    return library;
}

/* Calls, waits until the library is closed, and only then ends, with all that the library keeps for a thread. */
static void *outlive(void *first)
{
    char *token = NULL;
    p21_error *err = NULL;

    CHECK(get(NULL, P21_CACHED_ONLY, 0, &token, &err) == P21_OK);
    CHECK(strcmp(token, first) == 0);
    release(token);
    CHECK(sem_post(&called) == 0);
    while (sem_wait(&closed) != 0) {
    }
    return NULL;
}

/* Calls for as long as the process lives. */
static void *go_on(void *unused)
{
    char *token;
    p21_status status;

    (void)unused;
    CHECK(sem_post(&called) == 0);
    for (;;) {
        status = get(NULL, P21_FORCE_REFRESH, 0, &token, NULL);
        if (status == P21_OK) {
            release(token);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    char *first = NULL, *again = NULL;
    pthread_t threads[THREADS];
    void *library;
    int i, round;

    CHECK(argc >= 2);
    CHECK(sem_init(&called, 0, 0) == 0 && sem_init(&closed, 0, 0) == 0);
    library = load(argv[1]);
    if (argc > 2 && strcmp(argv[2], "hang") == 0) {
        /* The emulator holds the request: the flight is in the air when the process ends, which it is told by its input. */
        CHECK(get(NULL, 0, 200, &first, NULL) == P21_E_TIMEOUT);
        (void)getchar();
        puts("unload: leaving");
        return 0;
    }
    CHECK(get(NULL, 0, 0, &first, NULL) == P21_OK);
    if (argc > 2) {
        /* The threads are inside the library when the process ends. */
        for (i = 0; i < THREADS; i++) {
            CHECK(pthread_create(&threads[i], NULL, go_on, NULL) == 0);
        }
        for (i = 0; i < THREADS; i++) {
            CHECK(sem_wait(&called) == 0);
        }
        puts("unload: leaving");
        return 0;
    }
    for (round = 0; round < ROUNDS; round++) {
        CHECK(pthread_create(&threads[0], NULL, outlive, first) == 0);
        CHECK(sem_wait(&called) == 0);
        CHECK(dlclose(library) == 0);
        CHECK(sem_post(&closed) == 0);
        CHECK(pthread_join(threads[0], NULL) == 0);
        library = load(argv[1]);
    }
    CHECK(dlclose(library) == 0);
    /* Still there, cache and all. */
    CHECK(get(NULL, P21_CACHED_ONLY, 0, &again, NULL) == P21_OK);
    CHECK(strcmp(first, again) == 0);
    release(first);
    release(again);
    puts("unload: ok");
    return 0;
}
