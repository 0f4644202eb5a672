/* What the load generator asks for: connections from addresses of its own, and the requests of its streams. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TOKEN_BYTES 1024

static char (*tokens)[TOKEN_BYTES]; /* per stream, with --tokens */

void fill(char *out, size_t room_for, const char *template, unsigned topic) {
    const char *gap = strstr(template, "%s");
    int size = gap ? snprintf(out, room_for, "%.*s%s-%05u%s", (int)(gap - template), template, opt.name, topic, gap + 2)
                   : snprintf(out, room_for, "%s", template);
    if (size < 0 || (size_t)size >= room_for) fail("too long: %s", template);
}

void send_all(int fd, const char *data, size_t size) {
    if (send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) fail("a request could not be sent: %s", strerror(errno));
}

int connect_from(unsigned source, bool small) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, few = 4096, segment = 1448;
    if (fd < 0) fail("socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    /* Loopback's segments of 64 KiB would let the kernel hold megabytes for a reader that does not read. */
    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    if (small) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
    if (bind(fd, (struct sockaddr *)&from, sizeof from)) fail("bind: %s", strerror(errno));
    if (inet_pton(AF_INET, opt.host, &to.sin_addr) != 1) fail("not an IPv4 address: %s", opt.host);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) fail("connect: %s", strerror(errno));
    return fd;
}

/* One line for each stream, which goes behind its path. */
void read_tokens(void) {
    FILE *file = fopen(opt.tokens, "r");
    tokens = calloc((size_t)(opt.streams + opt.slow) + 1, sizeof *tokens);
    if (!file || !tokens) fail("%s cannot be read", opt.tokens);
    for (int i = 0; i < opt.streams + opt.slow; i++) {
        if (!fgets(tokens[i], TOKEN_BYTES, file)) fail("%s has too few lines", opt.tokens);
        tokens[i][strcspn(tokens[i], "\n")] = 0;
    }
    fclose(file);
}

void send_request(struct stream *s, int index) {
    char path[PATH_BYTES + TOKEN_BYTES], request[2 * PATH_BYTES], protocol[128] = "";
    fill(path, PATH_BYTES, opt.subscribe_path, s->topic);
    if (tokens) strcat(path, tokens[index]);
    if (opt.protocol) snprintf(protocol, sizeof protocol, "Sec-WebSocket-Protocol: %s\r\n", opt.protocol);
    const char *extra = opt.header ? opt.header : "", *line = opt.header ? "\r\n" : "";
    int size = opt.websocket
                   ? snprintf(request, sizeof request,
                              "GET %s HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s%s\r\n",
                              path, protocol, extra, line)
                   : snprintf(request, sizeof request,
                              "GET %s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n%s%s\r\n",
                              path, extra, line);
    s->stage = HEAD;
    send_all(s->fd, request, (size_t)size);
}
