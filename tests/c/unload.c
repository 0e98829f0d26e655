/* dlopen, use, dlclose and again: the library stays in memory, so its threads never lose their code. Then exit with a
 * request under way. Usage: unload LIBRARY [hang]
 */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <string.h>

#include "check.h"
#include "p21auth.h"

typedef p21_status (*get_function)(const p21_client *, uint32_t, uint32_t, char **, p21_error **);
typedef void (*free_function)(void *);

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);

    CHECK(found != NULL);
    return found;
}

int main(int argc, char **argv)
{
    char *first = NULL, *again = NULL;
    get_function get;
    free_function release;
    void *library;
    int i;

    CHECK(argc >= 2);
    library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    /* C has no cast from void * to a function. */
    *(void **)&get = symbol(library, "p21_token_get");
    *(void **)&release = symbol(library, "p21_free");
    if (argc > 2) {
        /* The emulator holds the request: the flight is in the air when the process ends, which it is told by its input. */
        CHECK(get(NULL, 0, 200, &first, NULL) == P21_E_TIMEOUT);
        (void)getchar();
        puts("unload: leaving");
        return 0;
    }
    CHECK(get(NULL, 0, 0, &first, NULL) == P21_OK);
    for (i = 0; i < 3; i++) {
        CHECK(dlclose(library) == 0);
        library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        CHECK(library != NULL);
        *(void **)&get = symbol(library, "p21_token_get");
        *(void **)&release = symbol(library, "p21_free");
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
