/* The load generator: opens streams, publishes states, counts what arrives. One JSON line per phase on stdout.
 *
 * One thread, one edge-triggered epoll. Every wait has a limit, and the whole program has one (--timeout). */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PUBLISHER (UINT32_MAX - MAX_BURST) /* the keys from here on are the publishers' */
#define DRAIN 20
#define STUCK 10e9               /* nothing has moved for so many nanoseconds: what is missing stays missing */

static struct stream *streams;
static int *readers; /* per topic */
static int poller, ready_count, open_count, closed_count;
static uint64_t started, deadline, moved, read_at, last_delivery;
static uint64_t *published_at;
static uint64_t *seen_at; /* per topic, the newest state that was not published by us */
static double own_start, server_start; /* CPU seconds when measuring began */
static long published, deliveries, expected, disordered, broken, received; /* `received` is bytes */
static char room[CARRY_BYTES + READ_BYTES];

static double seconds_since(uint64_t moment) {
    return (double)(now() - moment) / 1e9;
}

static void listen_to(int fd, uint32_t key, uint32_t events, int what) {
    struct epoll_event event = {.events = events | EPOLLET, .data.u32 = key};
    if (epoll_ctl(poller, what, fd, &event)) fail("epoll_ctl: %s", strerror(errno));
}

static void ready(struct stream *s) {
    s->ready = true;
    ready_count++;
    tally_add(read_at - s->begun);
    if (s->slow && !opt.slow_reads) listen_to(s->fd, (uint32_t)(s - streams), EPOLLRDHUP, EPOLL_CTL_MOD);
}

static void on_ready(struct stream *s) {
    if (!opt.first_state) ready(s);
}

static void on_open(struct stream *s) {
    if (!opt.message) return on_ready(s);
    char text[PATH_BYTES], frame[PATH_BYTES + 16];
    fill(text, sizeof text, opt.message, s->topic);
    send_all(s->fd, frame, make_text_frame(frame, text, 1, strlen(text)));
}

static void on_state(struct stream *s, uint64_t version, bool whole) {
    if (version < FIRST_VERSION) { /* none that was published by us */
        seen_at[s->topic] = read_at;
        if (!s->ready) ready(s);
        return;
    }
    if (!whole || version >= FIRST_VERSION + (uint64_t)published) {
        broken++;
        return;
    }
    uint64_t oldest = FIRST_VERSION + (uint64_t)(published - opt.burst);
    if (opt.burst ? version < oldest : version <= s->last) disordered++;
    s->last = version;
    if (!s->counted) return;
    deliveries++;
    last_delivery = read_at;
    tally_add(read_at - published_at[version - FIRST_VERSION]);
}

static void on_ping(struct stream *s, const char *payload, size_t size) {
    char frame[256];
    if (size > 125) fail("a ping of %zu bytes", size);
    send_all(s->fd, frame, make_text_frame(frame, payload, 10, size));
}

/* With --burst every stream reads all topics. */
static void count_reader(struct stream *s, int change) {
    for (int i = 0; i < opt.burst; i++) readers[i] += change;
    if (!opt.burst) readers[s->topic] += change;
}

static void on_gone(struct stream *s) {
    if (!s->ready) fail("a stream was closed before its first bytes: %.*s", (int)s->carried, s->carry);
    if (s->counted) count_reader(s, -1);
    s->stage = CLOSED;
    closed_count++;
    close(s->fd);
}

static void on_stream(struct stream *s, uint32_t events) {
    if (s->stage == CLOSED) return;
    if (s->stage == CONNECTING && (events & EPOLLOUT)) send_request(s, (int)(s - streams));
    if (s->ready && s->slow && !opt.slow_reads) return on_gone(s);
    ssize_t size;
    do {
        size = recv(s->fd, room + CARRY_BYTES, READ_BYTES, 0);
        read_at = now();
        if (size > 0) received += size;
        if (size > 0) take(s, room + CARRY_BYTES, (size_t)size, opt.websocket);
    } while ((size == READ_BYTES || (size > 0 && events & EPOLLRDHUP)) && s->stage != CLOSED);
    if (size == 0 || (size < 0 && errno != EAGAIN)) on_gone(s);
}

static void wait_for_events(uint64_t nanoseconds) {
    struct epoll_event events[512];
    struct timespec limit = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
    int count = epoll_pwait2(poller, events, 512, &limit, NULL);
    for (int i = 0; i < count; i++) {
        uint32_t key = events[i].data.u32;
        if (key >= PUBLISHER) on_publisher((int)(key - PUBLISHER));
        else on_stream(&streams[key], events[i].events);
    }
    uint64_t moment = now();
    if (count > 0) moved = moment;
    if (moment > deadline)
        fail("not finished after %.0f s: %d ready, %ld published", opt.timeout, ready_count, published);
}

static void open_one(int index) {
    struct stream *s = &streams[index];
    s->slow = index >= opt.streams;
    s->topic = (unsigned)(s->slow ? (index - opt.streams) % (opt.hot ? opt.hot : opt.topics) : index % opt.topics);
    s->counted = !s->slow;
    if (s->counted) count_reader(s, 1);
    s->begun = now();
    s->fd = connect_from(1 + (unsigned)(index / opt.per_address), s->slow && !opt.slow_reads);
    listen_to(s->fd, (uint32_t)index, EPOLLIN | EPOLLOUT | EPOLLRDHUP, EPOLL_CTL_ADD);
}

static void open_streams(void) {
    int all = opt.streams + opt.slow;
    uint64_t start = now();
    double cpu = own_cpu(), server = cpu_of(opt.pids, opt.pid_count);
    while (ready_count < all) {
        while (open_count < all && open_count - ready_count < opt.opening) open_one(open_count++);
        wait_for_events(100000000);
    }
    double seconds = seconds_since(start), each = (cpu_of(opt.pids, opt.pid_count) - server) * 1e6 / all;
    printf("{\"phase\": \"connected\", \"streams\": %d, \"seconds\": %.4f, \"per_second\": %.0f, "
           "\"server_us\": %.1f, \"load_cpu\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"begun\": %lu, \"ended\": %lu, \"bytes\": %ld}\n",
           all, seconds, all / seconds, each, (own_cpu() - cpu) / seconds, tally_microseconds(0.5),
           tally_microseconds(0.99), start, now(), received);
}

/* With --burst each topic gets one of the states that are published at once. With hot topics every other state goes to
 * one of them. Else the topics take turns, not in the order of opening. */
static unsigned topic_of(long state) {
    if (opt.burst) return (unsigned)(state % opt.burst);
    if (opt.hot && state % 2 == 0) return (unsigned)(state / 2 % opt.hot);
    if (opt.hot) return (unsigned)(opt.hot + state / 2 % (opt.topics - opt.hot));
    return (unsigned)((uint64_t)state * 7919 % (uint64_t)opt.topics);
}

static void publish(uint64_t moment) {
    char path[512], name[64], body[BODY_BYTES + 1], request[2048];
    int publisher = opt.burst ? (int)(published % opt.burst) : 0;
    unsigned topic = topic_of(published);
    uint64_t version = FIRST_VERSION + (uint64_t)published;
    fill(path, sizeof path, opt.publish_path, topic);
    fill(name, sizeof name, "%s", topic);
    make_state(body, name, version);
    int size = snprintf(request, sizeof request,
                        "POST %s?version=%lu HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                        "Content-Length: %d\r\n\r\n%.*s",
                        path, version, BODY_BYTES, BODY_BYTES, body);
    expected += readers[topic];
    published_at[published++] = moment ? moment : now();
    post(publisher, request, (size_t)size);
}

/* Paced states count from the moment they were due: a server that keeps the publisher waiting is not flattered. */
static uint64_t publish_when_due(void) {
    uint64_t far = 100000000;
    if (published == opt.states || publishing()) return far;
    if (opt.rate <= 0) {
        if (deliveries < expected) return far;
        for (int i = 0; i < publisher_count(); i++) publish(0);
        return far;
    }
    uint64_t due = started + (uint64_t)((double)published * 1e9 / opt.rate), moment = now();
    if (due > moment) return due - moment < far ? due - moment : far;
    publish(due);
    return far;
}

static void report(void) {
    double seconds = (double)((last_delivery > started ? last_delivery : now()) - started) / 1e9;
    double server_cpu = cpu_of(opt.pids, opt.pid_count) - server_start, load_cpu = own_cpu() - own_start;
    printf("{\"phase\": \"published\", \"states\": %ld, \"expected\": %ld, \"deliveries\": %ld, \"seconds\": %.4f, "
           "\"per_second\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, \"server_us\": %.3f, "
           "\"server_cpu\": %.3f, \"load_cpu\": %.3f, \"disordered\": %ld, \"broken\": %ld, \"closed\": %d}\n",
           published, expected, deliveries, seconds, (double)deliveries / seconds, tally_microseconds(0.5),
           tally_microseconds(0.99), tally_max(), server_cpu * 1e6 / (double)(deliveries ? deliveries : 1),
           server_cpu / seconds, load_cpu / seconds, disordered, broken, closed_count);
}

static void begin_measuring(void) {
    own_start = own_cpu();
    server_start = cpu_of(opt.pids, opt.pid_count);
    tally_clear();
    deliveries = expected = 0;
    moved = started = now();
}

/* The first states find cold sockets; they are delivered, but not counted. When the time is up, what is on its way has
 * DRAIN seconds more. */
static bool more_to_publish(void) {
    static bool warm;
    if (!warm && published == opt.warm && !publishing() && deliveries >= expected) {
        warm = true;
        begin_measuring();
    }
    double late = opt.seconds > 0 && warm ? seconds_since(started) - opt.seconds : -1;
    if (late >= 0) opt.states = (int)published;
    if (late > DRAIN) return false;
    return published < opt.states || publishing() || deliveries < expected;
}

static void listen_to_publisher(int fd, int index) {
    listen_to(fd, PUBLISHER + (uint32_t)index, EPOLLIN, EPOLL_CTL_ADD);
}

static void publish_states(void) {
    published_at = calloc((size_t)opt.states + 1, sizeof *published_at);
    open_publishers(listen_to_publisher);
    moved = now();
    while (more_to_publish()) {
        wait_for_events(publish_when_due());
        if (now() - moved > STUCK) break;
    }
    report();
    close_publishers();
}

/* Keep answering pings until the caller has measured and sends a line, or is gone. */
static void hold(void) {
    fflush(stdout);
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char c = 0;
    while (opt.hold && c != '\n') {
        wait_for_events(20000000);
        if (poll(&input, 1, 0) == 1 && read(STDIN_FILENO, &c, 1) <= 0) return;
    }
}

static void leave(void) {
    for (int i = 0; i < open_count; i++)
        if (streams[i].stage != CLOSED) close(streams[i].fd);
    if (opt.moments) write_moments(opt.moments, seen_at, opt.topics);
    printf("{\"phase\": \"left\", \"closed\": %d, \"bytes\": %ld}\n", closed_count, received);
}

int main(int argc, char **argv) {
    take_options(argc, argv);
    stay_on(opt.cpu);
    deadline = now() + (uint64_t)(opt.timeout * 1e9);
    alarm((unsigned)opt.timeout + 5);
    streams = calloc((size_t)(opt.streams + opt.slow) + 1, sizeof *streams);
    readers = calloc((size_t)opt.topics, sizeof *readers);
    seen_at = calloc((size_t)opt.topics, sizeof *seen_at);
    poller = epoll_create1(0);
    if (!streams || !readers || !seen_at || poller < 0) fail("out of memory");
    if (opt.tokens) read_tokens();
    report_to((struct events){on_open, on_ready, on_state, on_ping, on_gone});
    open_streams();
    hold();
    if (opt.states) {
        publish_states();
        hold();
    }
    leave();
    return 0;
}
