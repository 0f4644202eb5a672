/* Sends requests that are ready made over connections that stay open, and reads the answers. One JSON line on stdout.
 *
 * --file holds them one behind the other, each after its length (32 bits, as this machine counts). Without --rate each
 * connection sends its next request after the answer to the one before. With --rate a request is due at its time,
 * whatever the server does: it leaves by a connection that is free, and its time counts from when it was due. With
 * --seconds the file is sent again and again for so long, else once. SIGTERM ends the sending, not the reading of answers.
 * One thread, one epoll, a limit to everything. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_CONNECTIONS 1024
#define FAR 100000000 /* nanoseconds */

struct request {
    const char *bytes;
    uint32_t size;
};

struct connection {
    int fd;
    bool busy;
    uint64_t due; /* of the request that is under way */
    size_t size;
    char answer[READ_BYTES];
};

static const char *file, *moments_file, *expected = "200";
static int port, cpu = -1, connection_count = 128;
static double rate, seconds, timeout = 120;
static struct request *requests;
static long request_count, sent, answered;
static struct connection *connections;
static int idle[MAX_CONNECTIONS], idle_count, poller;
static uint64_t *moments, started, last_answer;
static volatile sig_atomic_t stopped;

static void read_file(void) {
    int fd = open(file, O_RDONLY);
    struct stat facts;
    if (fd < 0 || fstat(fd, &facts)) fail("%s: %s", file, strerror(errno));
    const char *data = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (data == MAP_FAILED) fail("%s: %s", file, strerror(errno));
    const char *end = data + facts.st_size;
    requests = calloc((size_t)facts.st_size / 4, sizeof *requests);
    while (end - data > 4) {
        struct request *r = &requests[request_count++];
        memcpy(&r->size, data, 4);
        r->bytes = data + 4;
        data += 4 + r->size;
    }
    if (data != end) fail("%s ends within a request", file);
}

static void open_connections(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0, one = 1; i < connection_count; i++) {
        int fd = connections[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) fail("connect: %s", strerror(errno));
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = (uint32_t)i};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl: %s", strerror(errno));
        idle[idle_count++] = i;
    }
}

static void send_next(uint64_t due) {
    struct connection *c = &connections[idle[--idle_count]];
    struct request *r = &requests[sent % request_count];
    if (sent < request_count) moments[sent] = due;
    c->busy = true;
    c->due = due;
    c->size = 0;
    sent++;
    if (send(c->fd, r->bytes, r->size, MSG_NOSIGNAL) != (ssize_t)r->size) fail("send: %s", strerror(errno));
}

/* Whether the answer is whole: its body is as long as it says, and 204 and 304 have none (RFC 9112, section 6.3). */
static bool whole(struct connection *c) {
    char *end = memmem(c->answer, c->size, "\r\n\r\n", 4);
    if (!end) return false;
    c->answer[c->size] = 0;
    if (memcmp(c->answer, "HTTP/1.1 ", 9) || memcmp(c->answer + 9, expected, strlen(expected)))
        fail("the server answers: %.300s", c->answer);
    size_t body = 0;
    if (memcmp(c->answer + 9, "304", 3) && memcmp(c->answer + 9, "204", 3)) {
        char *length = strcasestr(c->answer, "\r\ncontent-length:");
        if (!length || length > end) fail("the server answers without a length");
        body = strtoul(length + 17, NULL, 10);
    }
    return c->size >= (size_t)(end + 4 - c->answer) + body;
}

static void on_answer(struct connection *c) {
    for (;;) {
        ssize_t size = recv(c->fd, c->answer + c->size, READ_BYTES - 1 - c->size, 0);
        if (size < 0 && errno == EAGAIN) break;
        if (size <= 0 || !c->busy) fail("the server has closed a connection");
        c->size += (size_t)size;
    }
    if (!c->busy || !whole(c)) return;
    last_answer = now();
    tally_add(last_answer - c->due);
    answered++;
    c->busy = false;
    idle[idle_count++] = (int)(c - connections);
}

static void on_signal(int number) { stopped = number; }

static bool more(void) {
    if (stopped) return false;
    return seconds > 0 ? (double)(now() - started) < seconds * 1e9 : sent < request_count;
}

/* Send what is due; answers for how many nanoseconds there is nothing to do. */
static uint64_t send_what_is_due(void) {
    while (idle_count && more()) {
        uint64_t moment = now(), due = rate > 0 ? started + (uint64_t)((double)sent * 1e9 / rate) : moment;
        if (due > moment) return due - moment < FAR ? due - moment : FAR;
        send_next(due);
    }
    return FAR;
}

static void run(void) {
    struct epoll_event events[256];
    started = now();
    while (more() || answered < sent) {
        uint64_t pause = send_what_is_due();
        struct timespec limit = {0, (long)pause};
        int count = epoll_pwait2(poller, events, 256, &limit, NULL);
        for (int i = 0; i < count; i++) on_answer(&connections[events[i].data.u32]);
        if ((double)(now() - started) > timeout * 1e9) fail("%ld of %ld are answered", answered, sent);
    }
}

static void report(double own) {
    double took = (double)(last_answer - started) / 1e9;
    printf("{\"phase\": \"answered\", \"requests\": %ld, \"seconds\": %.4f, \"per_second\": %.1f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"max_us\": %.1f, \"load_cpu\": %.3f}\n",
           answered, took, (double)answered / took, tally_microseconds(0.5), tally_microseconds(0.99), tally_max(),
           (own_cpu() - own) / took);
}

static void read_options(int argc, char **argv) {
    static const struct option names[] = {
        {"port", 1, 0, 'p'}, {"file", 1, 0, 'f'}, {"connections", 1, 0, 'n'}, {"rate", 1, 0, 'r'},
        {"seconds", 1, 0, 'x'}, {"moments", 1, 0, 'm'}, {"expect", 1, 0, 'e'}, {"cpu", 1, 0, 'c'},
        {"timeout", 1, 0, 'T'}, {0}};
    int c;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 'p': port = atoi(optarg); break;
        case 'f': file = optarg; break;
        case 'n': connection_count = atoi(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 'x': seconds = atof(optarg); break;
        case 'm': moments_file = optarg; break;
        case 'e': expected = optarg; break;
        case 'c': cpu = atoi(optarg); break;
        case 'T': timeout = atof(optarg); break;
        default: exit(2);
        }
    }
    if (port <= 0 || !file || connection_count < 1 || connection_count > MAX_CONNECTIONS) exit(2);
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    stay_on(cpu);
    alarm((unsigned)timeout + 5);
    read_file();
    connections = calloc((size_t)connection_count, sizeof *connections);
    moments = calloc((size_t)request_count, sizeof *moments);
    poller = epoll_create1(0);
    if (!request_count || !connections || !moments || poller < 0) fail("no requests, or out of memory");
    open_connections();
    signal(SIGTERM, on_signal);
    double own = own_cpu();
    run();
    report(own);
    if (moments_file) write_moments(moments_file, moments, request_count);
    return 0;
}
