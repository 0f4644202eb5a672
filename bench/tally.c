/* What both programs need: clocks, CPU times, a histogram of latencies, a way to give up. */
#define _GNU_SOURCE
#include "load.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define FINE 64 /* buckets per power of two */

static uint64_t buckets[64 * FINE], total, longest;

uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000UL + (uint64_t)t.tv_nsec;
}

static unsigned bucket_of(uint64_t value) {
    if (value < FINE) return (unsigned)value;
    unsigned power = 63U - (unsigned)__builtin_clzl(value);
    return (power - 5) * FINE + (unsigned)((value >> (power - 6)) - FINE);
}

static double middle_of(unsigned bucket) {
    if (bucket < FINE) return bucket;
    return ((double)(bucket % FINE) + FINE + 0.5) * (double)(1UL << (bucket / FINE - 1));
}

void tally_clear(void) {
    memset(buckets, 0, sizeof buckets);
    total = longest = 0;
}

void tally_add(uint64_t nanoseconds) {
    buckets[bucket_of(nanoseconds)]++;
    total++;
    if (nanoseconds > longest) longest = nanoseconds;
}

double tally_microseconds(double share) {
    uint64_t wanted = (uint64_t)(share * (double)total), seen = 0;
    for (unsigned i = 0; i < sizeof buckets / sizeof *buckets; i++) {
        seen += buckets[i];
        if (seen > wanted) return middle_of(i) / 1000;
    }
    return tally_max();
}

double tally_max(void) {
    return (double)longest / 1000;
}

/* utime + stime, the fields 14 and 15 of proc(5) stat; the name in field 2 may hold spaces, so start behind it. */
static double cpu_of_one(int pid) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = 0;
    unsigned long user = 0, system = 0;
    char *after = strrchr(line, ')');
    if (after) sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

double cpu_of(const int *pids, int count) {
    double seconds = 0;
    for (int i = 0; i < count; i++) seconds += cpu_of_one(pids[i]);
    return seconds;
}

double own_cpu(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    double whole = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec);
    return whole + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

void stay_on(int cpu) {
    if (cpu < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

void write_moments(const char *path, const uint64_t *moments, long count) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(moments, sizeof *moments, (size_t)count, file) != (size_t)count || fclose(file))
        fail("%s cannot be written", path);
}

void fail(const char *format, ...) {
    va_list list;
    va_start(list, format);
    printf("{\"phase\": \"failed\", \"reason\": \"");
    char text[512];
    vsnprintf(text, sizeof text, format, list);
    for (char *c = text; *c; c++) putchar(*c < ' ' || *c == '"' || *c == '\\' ? ' ' : *c);
    printf("\"}\n");
    va_end(list);
    fflush(stdout);
    _exit(3);
}
