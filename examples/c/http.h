/* Stands in for your HTTP client in these examples: one request over plain http, enough for the emulator. Not for use
 * elsewhere. POSIX sockets.
 */
#ifndef EXAMPLE_HTTP_H
#define EXAMPLE_HTTP_H

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

/* Sends METHOD path with an Authorization header; answers the HTTP status, or 0, and puts the body into body. */
static int http(const char *method, const char *base_url, const char *path, const char *authorization, char *body, size_t cap)
{
    char host[256], port[8] = "80", prefix[256] = "", *reply, *start;
    struct addrinfo hints, *found;
    size_t used = 0, room = 1 << 20, length;
    ssize_t got;
    FILE *out;
    int fd, status = 0;

    body[0] = '\0';
    if (sscanf(base_url, "http://%255[^:/]:%7[0-9]%255s", host, port, prefix) < 1) {
        return 0;
    }
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        return 0;
    }
    fd = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        freeaddrinfo(found);
        return 0;
    }
    freeaddrinfo(found);
    out = fdopen(dup(fd), "w");
    if (out == NULL) {
        close(fd);
        return 0;
    }
    fprintf(out, "%s %s%s HTTP/1.1\r\nHost: %s:%s\r\nAuthorization: %s\r\nAccept: application/json\r\n", method, prefix, path,
            host, port, authorization);
    fprintf(out, "Content-Length: 0\r\nConnection: close\r\n\r\n");
    fclose(out);
    reply = malloc(room + 1);
    while (reply != NULL && used < room && (got = recv(fd, reply + used, room - used, 0)) > 0) {
        used += (size_t)got;
    }
    close(fd);
    if (reply != NULL) {
        reply[used] = '\0';
        start = strstr(reply, "\r\n\r\n");
        if (sscanf(reply, "HTTP/1.%*c %d", &status) == 1 && start != NULL) {
            length = strlen(start + 4);
            length = length < cap ? length : cap - 1;
            memcpy(body, start + 4, length);
            body[length] = '\0';
        }
    }
    free(reply);
    return status;
}

#endif
