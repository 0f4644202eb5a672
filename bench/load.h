/* What the parts of the load generator share: the options, one connection, the tally. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Versions of the states start here, so that every number has ten digits and every body the same length. */
#define FIRST_VERSION 1000000000UL
#define BODY_BYTES 190
#define MAX_BURST 64
#define PATH_BYTES 4096
#define CARRY_BYTES 8192
#define READ_BYTES (256 * 1024)

struct options {
    const char *host, *subscribe_path, *publish_path, *message, *protocol, *header, *name, *moments, *tokens;
    int port, cpu, streams, topics, hot, slow, states, warm, opening, per_address, burst;
    double rate, seconds, timeout;
    bool websocket, first_state, slow_reads, hold;
    int pids[64], pid_count;
};

extern struct options opt; /* options.c */
void take_options(int argc, char **argv);

enum stage { CONNECTING, HEAD, BODY, CLOSED };

struct stream {
    int fd;
    unsigned topic;
    uint8_t stage, chunk_stage;
    bool chunked, ready, counted, slow;
    uint16_t carried;     /* bytes of a head, line or frame whose rest has not arrived */
    uint32_t chunk_left;  /* of the current HTTP chunk */
    uint64_t version;     /* of the SSE event whose blank line has not arrived */
    uint64_t last;        /* newest version that was delivered */
    uint64_t begun;       /* when its connect() was called */
    char carry[CARRY_BYTES];
};

/* connecting.c */
void fill(char *out, size_t room_for, const char *template, unsigned topic); /* `template` with the topic for its %s */
void send_all(int fd, const char *data, size_t size);
int connect_from(unsigned source, bool small);
void read_tokens(void); /* one line for each stream, which goes behind its path */
void send_request(struct stream *s, int index);

/* publishing.c */
void open_publishers(void (*listen)(int fd, int index));
void close_publishers(void);
void post(int index, const char *request, size_t size);
void on_publisher(int index); /* it can be read */
int publisher_count(void);
bool publishing(void); /* an answer is still to come */

/* wire.c: what it reports while it parses. */
struct events {
    void (*open)(struct stream *s);  /* the WebSocket handshake is done */
    void (*ready)(struct stream *s); /* the first of an SSE body, or the first message, has arrived */
    void (*state)(struct stream *s, uint64_t version, bool whole);
    void (*ping)(struct stream *s, const char *payload, size_t size);
    void (*gone)(struct stream *s);
};

void report_to(struct events events); /* before the first `take` */

/* `data` must have CARRY_BYTES of room in front of it. */
void take(struct stream *s, char *data, size_t size, bool websocket);
size_t make_state(char *out, const char *topic, uint64_t version);
size_t make_text_frame(char *out, const char *text, uint8_t opcode, size_t size);

/* tally.c: latencies in nanoseconds, in buckets of 1.6 %; moments are of the monotonic clock, all programs' the same. */
void tally_clear(void);
void tally_add(uint64_t nanoseconds);
double tally_microseconds(double share);
double tally_max(void);
uint64_t now(void);
double cpu_of(const int *pids, int count);
double own_cpu(void);
void stay_on(int cpu); /* any if negative */
void write_moments(const char *path, const uint64_t *moments, long count);
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
