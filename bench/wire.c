/* What comes off the wire: HTTP heads and chunks, SSE lines, WebSocket frames (RFC 6455). And what goes on it. */
#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct events on;

void report_to(struct events events) { on = events; }

static const char TAIL[] =
    "\",\"status\":\"pending\",\"progress\":{\"phase\":\"running\",\"queuePosition\":null,\"pad\":\"";

/* A state of BODY_BYTES: the version in front, then the topic, then always the same. */
size_t make_state(char *out, const char *topic, uint64_t version) {
    int head = sprintf(out, "{\"version\":%lu,\"requestId\":\"%s%s", version, topic, TAIL);
    if (head < 0 || head > BODY_BYTES - 3) fail("the topic's name is too long");
    memset(out + head, 'x', BODY_BYTES - 3 - (size_t)head);
    memcpy(out + BODY_BYTES - 3, "\"}}", 3);
    return BODY_BYTES;
}

/* The next state in the text from `*at` on, which moves behind its version; 0 if there is none. One that was not made by
 * us has a small version and is only a first state. */
static uint64_t find_state(const char **at, const char *end, bool *whole) {
    const char *start = memmem(*at, (size_t)(end - *at), "\"version\":", 10);
    if (!start) return 0;
    uint64_t version = 0;
    for (*at = start + 10; *at < end && **at >= '0' && **at <= '9'; ++*at)
        version = version * 10 + (uint64_t)(**at - '0');
    *whole = end - start >= BODY_BYTES - 1 && !memcmp(start + BODY_BYTES - 6, "xx\"}}", 5);
    return version;
}

static void sse_line(struct stream *s, const char *line, size_t size) {
    bool whole = false;
    if (size && line[size - 1] == '\r') size--;
    if (size == 0) {
        if (s->version) on.state(s, s->version, true);
        s->version = 0;
    } else if (size > 5 && !memcmp(line, "data:", 5)) {
        s->version = find_state(&line, line + size, &whole);
        if (s->version >= FIRST_VERSION && !whole) on.state(s, s->version, false);
    }
}

static size_t sse(struct stream *s, const char *data, size_t size) {
    size_t used = 0;
    const char *end;
    while ((end = memchr(data + used, '\n', size - used))) {
        size_t line = (size_t)(end - data) - used;
        sse_line(s, data + used, line);
        used += line + 1;
    }
    return used;
}

static void message(struct stream *s, uint8_t opcode, const char *payload, size_t size) {
    bool whole = false;
    if (opcode == 9) on.ping(s, payload, size);
    if (opcode != 1) return;
    if (!s->ready) on.ready(s);
    const char *end = payload + size; /* Centrifuge puts several into one frame */
    for (uint64_t version; (version = find_state(&payload, end, &whole));) on.state(s, version, whole);
}

static size_t websocket_frames(struct stream *s, const char *data, size_t size) {
    size_t used = 0;
    while (size - used >= 2) {
        const uint8_t *frame = (const uint8_t *)data + used;
        size_t head = 2, length = frame[1] & 127;
        if (length == 126) {
            if (size - used < 4) break;
            length = (size_t)frame[2] << 8 | frame[3];
            head = 4;
        } else if (length == 127) {
            fail("a frame of more than 64 KiB");
        }
        if (size - used < head + length) break;
        message(s, frame[0] & 15, (const char *)frame + head, length);
        if (s->stage == CLOSED) return size;
        used += head + length;
    }
    return used;
}

/* Take the chunk sizes out, in place (RFC 9112, section 7.1); they may be cut anywhere. */
static size_t dechunk(struct stream *s, char *data, size_t size) {
    size_t kept = 0;
    for (size_t i = 0; i < size;) {
        if (s->chunk_stage == 1) { /* the chunk's data */
            size_t part = s->chunk_left < size - i ? s->chunk_left : size - i;
            memmove(data + kept, data + i, part);
            kept += part;
            i += part;
            s->chunk_left -= (uint32_t)part;
            if (s->chunk_left == 0) s->chunk_stage = 2;
            continue;
        }
        char c = data[i++];
        if (s->chunk_stage == 2) { /* the line break behind it */
            if (c == '\n') s->chunk_stage = 0;
        } else if (c == '\n') {
            s->chunk_stage = s->chunk_left ? 1 : 2;
        } else if (c != '\r') {
            s->chunk_left = s->chunk_left * 16 + (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
        }
    }
    return kept;
}

static void keep(struct stream *s, const char *rest, size_t size) {
    if (size > CARRY_BYTES) fail("a head, line or frame of more than %d bytes", CARRY_BYTES);
    memmove(s->carry, rest, size);
    s->carried = (uint16_t)size;
}

/* The head of the answer; what is behind it is the first of the body. */
static size_t head(struct stream *s, char *data, size_t size, bool websocket) {
    char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    const char *wanted = websocket ? "HTTP/1.1 101" : "HTTP/1.1 200";
    if (memcmp(data, wanted, 12) != 0) fail("the server answers: %.60s", data);
    end[2] = 0;
    s->chunked = strcasestr(data, "\r\ntransfer-encoding: chunked") != NULL;
    s->stage = BODY;
    if (websocket) on.open(s);
    return (size_t)(end + 4 - data);
}

void take(struct stream *s, char *data, size_t size, bool websocket) {
    bool in_head = s->stage == HEAD;
    if (s->chunked) size = dechunk(s, data, size);
    data -= s->carried;
    memcpy(data, s->carry, s->carried);
    size += s->carried;
    s->carried = 0;
    if (in_head) {
        size_t used = head(s, data, size, websocket);
        if (used == 0) return keep(s, data, size);
        data += used;
        size -= used;
        if (s->chunked) size = dechunk(s, data, size);
    }
    if (size == 0 || s->stage == CLOSED) return;
    if (!websocket && !s->ready) on.ready(s);
    size_t used = websocket ? websocket_frames(s, data, size) : sse(s, data, size);
    if (s->stage != CLOSED) keep(s, data + used, size - used);
}

/* A masked frame (RFC 6455, section 5.3), of up to 64 KiB. */
size_t make_text_frame(char *out, const char *text, uint8_t opcode, size_t size) {
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t at = 0;
    out[at++] = (char)(0x80 | opcode);
    if (size < 126) {
        out[at++] = (char)(0x80 | size);
    } else {
        out[at++] = (char)(0x80 | 126);
        out[at++] = (char)(size >> 8);
        out[at++] = (char)size;
    }
    memcpy(out + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < size; i++) out[at++] = (char)((uint8_t)text[i] ^ mask[i & 3]);
    return at;
}
