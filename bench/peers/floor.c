/* The floor: how fast one core can push at all. epoll, one send() per delivery, just enough HTTP and WebSocket.
 *
 *   GET /events/TOPIC            SSE; a stream begins with the topic's newest state
 *   GET /ws/TOPIC                WebSocket (RFC 6455); what the client sends is read and ignored
 *   POST /publish/TOPIC?version= the body goes to everybody on the topic, framed as Hookcast frames it; what follows a
 *                                dot in TOPIC is ignored, so that one stream can stand for one of several topics
 *
 * Requests must arrive in one piece, and a reader that is behind by a full socket buffer is let go: it is a yardstick,
 * not a server. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define TOPICS 65536
#define NAME 64
#define FRAME 4096

struct topic {
    char name[NAME], version[24];
    struct topic *next;
    int *members, count, room;
    char *body; /* the newest state; none until one is published */
};
struct client {
    struct topic *topic;
    int place;
    bool websocket;
};
struct frame {
    char bytes[2 * FRAME]; /* a head, and a state */
    size_t size;
};

static struct topic *table[TOPICS];
static struct client *clients; /* by descriptor */
static int poller;

static struct topic *find(const char *name) {
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (const char *c = name; *c; c++) hash = (hash ^ (uint8_t)*c) * 16777619U;
    struct topic **slot = &table[hash % TOPICS];
    for (struct topic *topic = *slot; topic; topic = topic->next)
        if (!strcmp(topic->name, name)) return topic;
    struct topic *topic = calloc(1, sizeof *topic);
    snprintf(topic->name, NAME, "%s", name);
    topic->next = *slot;
    return *slot = topic;
}

static void join(int fd, const char *name, bool websocket) {
    struct topic *topic = find(name);
    if (topic->count == topic->room) {
        topic->room = topic->room ? topic->room * 2 : 1;
        topic->members = realloc(topic->members, (size_t)topic->room * sizeof *topic->members);
    }
    clients[fd] = (struct client){topic, topic->count, websocket};
    topic->members[topic->count++] = fd;
}

static void drop(int fd) {
    struct topic *topic = clients[fd].topic;
    if (topic) {
        int last = topic->members[--topic->count];
        topic->members[clients[fd].place] = last;
        clients[last].place = clients[fd].place;
        clients[fd].topic = NULL;
    }
    close(fd);
}

static bool push(int fd, const char *bytes, size_t size) {
    if (send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size) return true;
    drop(fd);
    return false;
}

static void add_sse(struct frame *frame, const char *version, const char *body) {
    char *end = frame->bytes + frame->size;
    frame->size += (size_t)snprintf(end, FRAME, "id: %s\nevent: job\ndata: %s\n\n", version, body);
}

static void add_websocket(struct frame *frame, const char *body) {
    uint8_t *end = (uint8_t *)frame->bytes + frame->size;
    int size = snprintf((char *)end + 4, FRAME - 4, "{\"type\":\"job\",\"job\":%s}", body);
    memcpy(end, (uint8_t[]){0x81, 126, (uint8_t)(size >> 8), (uint8_t)size}, 4);
    frame->size += (size_t)size + 4;
}

static void publish(int fd, const char *name, const char *version, const char *body) {
    static const char done[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
    struct frame sse = {.size = 0}, websocket = {.size = 0};
    add_sse(&sse, version, body);
    add_websocket(&websocket, body);
    struct topic *topic = find(name);
    free(topic->body);
    topic->body = strdup(body);
    strcpy(topic->version, version);
    for (int i = topic->count - 1; i >= 0; i--) {
        int member = topic->members[i];
        const struct frame *frame = clients[member].websocket ? &websocket : &sse;
        push(member, frame->bytes, frame->size);
    }
    push(fd, done, sizeof done - 1);
}

static void subscribe(int fd, const char *name, bool websocket) {
    static const char sse[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n"
                              "retry: 2000\n\n";
    /* The answer to the key of the RFC's own example, which the load generator sends. */
    static const char upgraded[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    struct frame first = {.size = 0};
    struct topic *topic = find(name);
    first.size = (size_t)sprintf(first.bytes, "%s", websocket ? upgraded : sse);
    if (topic->body && websocket) add_websocket(&first, topic->body);
    if (topic->body && !websocket) add_sse(&first, topic->version, topic->body);
    if (push(fd, first.bytes, first.size)) join(fd, name, websocket);
}

static void request(int fd, char *text) {
    char name[NAME], version[24];
    char *body = strstr(text, "\r\n\r\n");
    if (!body) return drop(fd);
    if (sscanf(text, "POST /publish/%63[^? ]?version=%23[0-9]", name, version) == 2) {
        name[strcspn(name, ".")] = 0;
        publish(fd, name, version, body + 4);
    } else if (sscanf(text, "GET /events/%63[^ ]", name) == 1) {
        subscribe(fd, name, false);
    } else if (sscanf(text, "GET /ws/%63[^ ]", name) == 1) {
        subscribe(fd, name, true);
    } else {
        drop(fd);
    }
}

static void on_readable(int fd) {
    char text[FRAME + 1];
    ssize_t size = recv(fd, text, FRAME, MSG_DONTWAIT);
    if (size <= 0) return drop(fd);
    text[size] = 0;
    if (!clients[fd].topic) request(fd, text);
}

static void on_connect(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&here, sizeof here) || listen(fd, 4096)) {
        perror("floor");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    clients = calloc(files.rlim_cur, sizeof *clients);
    poller = epoll_create1(0);
    int listener = listen_on(argc > 1 ? atoi(argv[1]) : 0);
    struct epoll_event events[256], event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener) on_connect(listener);
            else on_readable(events[i].data.fd);
        }
    }
}
