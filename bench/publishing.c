/* The connections on which the load generator publishes: each sends one POST at a time. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct publisher {
    int fd;
    bool busy;
    size_t size;
    char answer[4096];
} publishers[MAX_BURST];

/* The answer to one POST: any 2xx with a length. */
void on_publisher(int index) {
    struct publisher *p = &publishers[index];
    ssize_t size = recv(p->fd, p->answer + p->size, sizeof p->answer - 1 - p->size, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) fail("the server closed the publishing connection");
    p->size += (size_t)size;
    p->answer[p->size] = 0;
    char *end = strstr(p->answer, "\r\n\r\n");
    if (!end) return;
    if (memcmp(p->answer, "HTTP/1.1 2", 10) != 0) fail("publishing is answered: %.100s", p->answer);
    char *length = strcasestr(p->answer, "\r\ncontent-length:");
    size_t body = length ? strtoul(length + 17, NULL, 10) : 0;
    if (p->size >= (size_t)(end + 4 - p->answer) + body) p->busy = false;
}

int publisher_count(void) { return opt.burst ? opt.burst : 1; }

bool publishing(void) {
    for (int i = 0; i < publisher_count(); i++)
        if (publishers[i].busy) return true;
    return false;
}

void post(int index, const char *request, size_t size) {
    struct publisher *p = &publishers[index];
    p->busy = true;
    p->size = 0;
    send_all(p->fd, request, size);
}

void open_publishers(void (*listen)(int fd, int index)) {
    for (int i = 0; i < publisher_count(); i++) {
        publishers[i].fd = connect_from(0, false);
        listen(publishers[i].fd, i);
        struct pollfd writable = {.fd = publishers[i].fd, .events = POLLOUT};
        if (poll(&writable, 1, 5000) != 1) fail("the publisher could not connect");
    }
}

void close_publishers(void) {
    for (int i = 0; i < publisher_count(); i++) close(publishers[i].fd);
}
