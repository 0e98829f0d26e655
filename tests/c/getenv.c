/* Preloaded: writes each name that the library asks for into the file that SEEN_VARIABLES names. Names that the C library
 * itself asks for do not come by here. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *getenv(const char *name)
{
    char *(*const next)(const char *) = (char *(*)(const char *))dlsym(RTLD_NEXT, "getenv");
    const char *path = next("SEEN_VARIABLES");
    int file = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (file >= 0) {
        char line[256];
        const size_t len = strlen(name) < sizeof line - 1 ? strlen(name) : sizeof line - 1;

        memcpy(line, name, len);
        line[len] = '\n';
        if (write(file, line, len + 1) < 0)
            abort();
        close(file);
    }
    return next(name);
}
