/* The load generator's options: bench/README.md and load.py say which are used for what. */
#define _GNU_SOURCE
#include "load.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

struct options opt = {
    .host = "127.0.0.1", .subscribe_path = "/events/%s", .publish_path = "/publish/%s", .name = "t",
    .cpu = -1, .streams = 100, .topics = 1, .states = 10, .timeout = 120,
    .opening = 128,       /* handshakes under way at a time: far below every peer's backlog */
    .per_address = 8000}; /* streams, of 28,000 ephemeral ports */

static void add_pids(char *list) {
    for (char *pid = strtok(list, ","); pid && opt.pid_count < 64; pid = strtok(NULL, ","))
        opt.pids[opt.pid_count++] = atoi(pid);
}

void take_options(int argc, char **argv) {
    static const struct option names[] = {
        {"port", 1, 0, 'p'}, {"host", 1, 0, 'H'}, {"websocket", 0, 0, 'w'}, {"subscribe-path", 1, 0, 's'},
        {"publish-path", 1, 0, 'P'}, {"message", 1, 0, 'm'}, {"protocol", 1, 0, 'o'}, {"header", 1, 0, 'e'},
        {"name", 1, 0, 'N'}, {"streams", 1, 0, 'n'}, {"topics", 1, 0, 't'}, {"hot", 1, 0, 'h'}, {"slow", 1, 0, 'S'},
        {"slow-reads", 0, 0, 'R'}, {"first-state", 0, 0, 'f'}, {"states", 1, 0, 'M'}, {"rate", 1, 0, 'r'},
        {"warm", 1, 0, 'W'}, {"seconds", 1, 0, 'x'}, {"cpu", 1, 0, 'c'}, {"pids", 1, 0, 'i'},
        {"timeout", 1, 0, 'T'}, {"hold", 0, 0, 'd'}, {"moments", 1, 0, 'u'},
        {"opening", 1, 0, 'O'}, {"per-address", 1, 0, 'A'}, {"tokens", 1, 0, 'k'}, {"burst", 1, 0, 'b'}, {0}};
    int c;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 'p': opt.port = atoi(optarg); break;
        case 'H': opt.host = optarg; break;
        case 'w': opt.websocket = true; break;
        case 's': opt.subscribe_path = optarg; break;
        case 'P': opt.publish_path = optarg; break;
        case 'm': opt.message = optarg; break;
        case 'o': opt.protocol = optarg; break;
        case 'e': opt.header = optarg; break;
        case 'N': opt.name = optarg; break;
        case 'n': opt.streams = atoi(optarg); break;
        case 't': opt.topics = atoi(optarg); break;
        case 'h': opt.hot = atoi(optarg); break;
        case 'S': opt.slow = atoi(optarg); break;
        case 'f': opt.first_state = true; break;
        case 'R': opt.slow_reads = true; break;
        case 'M': opt.states = atoi(optarg); break;
        case 'r': opt.rate = atof(optarg); break;
        case 'W': opt.warm = atoi(optarg); break;
        case 'x': opt.seconds = atof(optarg); break;
        case 'c': opt.cpu = atoi(optarg); break;
        case 'i': add_pids(optarg); break;
        case 'T': opt.timeout = atof(optarg); break;
        case 'd': opt.hold = true; break;
        case 'u': opt.moments = optarg; break;
        case 'O': opt.opening = atoi(optarg); break;
        case 'A': opt.per_address = atoi(optarg); break;
        case 'b': opt.burst = atoi(optarg); break;
        case 'k': opt.tokens = optarg; break;
        default: exit(2);
        }
    }
    if (opt.port <= 0 || opt.topics < 1 || opt.streams < 0 || opt.states < 0) exit(2);
    if ((opt.hot && opt.hot >= opt.topics) || opt.opening < 1 || opt.per_address < 1) exit(2);
    if (opt.burst < 0 || opt.burst > MAX_BURST) exit(2);
    if (opt.burst && (opt.topics != opt.burst || opt.states % opt.burst)) exit(2);
}
