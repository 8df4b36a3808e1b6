/* SPDX-License-Identifier: Apache-2.0
 *
 * bench-store: what records and blobs cost, beside the disk alone.
 *
 *      store --dir DIR [--redis ADDRESS] [--s3 ADDRESS] [--out FILE]
 *
 * Everything is durable. The disk alone: 4 KiB written and synced, again and again, and
 * a file of 16 MiB written and synced.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "store/store.h"

#define RECORDS     1000u
#define GETS        20000u
#define GETS_FIRST  2000u
#define SECONDS     2u
#define THREADS_MAX 16u
#define BLOB_BYTES  (16u << 20)
#define BLOBS       12u

static FILE *rows;

static void
say(const char *where, const char *what, double value, const char *unit)
{
    (void)printf("%-8s %-34s %12.1f %s\n", where, what, value, unit);
    if (rows != NULL)
        (void)fprintf(rows,
                      "{\"where\": \"%s\", \"what\": \"%s\", \"value\": %.3f, "
                      "\"unit\": \"%s\"}\n",
                      where, what, value, unit);
}

static int
compare(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

    return (a > b) - (a < b);
}

static double
percentile_us(uint64_t *times, size_t count, unsigned percent)
{
    qsort(times, count, sizeof(times[0]), compare);
    return (double)times[(count - 1) * percent / 100] / 1000.0;
}

static struct store *
open_store(const struct store_config *config)
{
    struct store *store;
    struct diag diag;

    diag_init(&diag);
    if (store_open(config, &store, &diag) != 0) {
        (void)fprintf(stderr, "%s\n", diag_text(&diag));
        exit(1);
    }
    return store;
}

static int
commit_one(struct store *store, unsigned number)
{
    static const char value[100];
    char key[16];
    struct store_change change = {
        .key = {.table = "bench", .bytes = key}, .value = value, .count = sizeof(value)};

    change.key.count = (size_t)snprintf(key, sizeof(key), "%08u", number);
    return store_commit(store, &change, 1, NULL, NULL, NULL);
}

/* ------------------------------------------------------------------------------- get */

static void
bench_get(struct store *store, const char *where)
{
    static uint64_t times[GETS];

    for (unsigned i = 0; i < RECORDS; i++)
        ASSERT(commit_one(store, i) == 0);
    for (unsigned i = 0; i < GETS + GETS_FIRST; i++) {
        char key[16];
        struct store_key name = {.table = "bench", .bytes = key};
        struct buffer value = {0};
        uint64_t version, start;

        name.count = (size_t)snprintf(key, sizeof(key), "%08u", i * 7919 % RECORDS);
        start = clock_now_ns();
        ASSERT(store_get(store, &name, &value, &version, NULL) == 0);
        if (i >= GETS_FIRST)
            times[i - GETS_FIRST] = clock_now_ns() - start;
        ASSERT(value.count == 100);
        buffer_fini(&value);
    }
    say(where, "get of 100 bytes, p50", percentile_us(times, GETS, 50), "us");
    say(where, "get of 100 bytes, p99", percentile_us(times, GETS, 99), "us");
}

/* ---------------------------------------------------------------------------- commits */

struct committer {
    struct store *store;
    unsigned first;
    uint64_t end_ns;
    unsigned done;
};

static void *
committer_run(void *context)
{
    struct committer *committer = context;

    while (clock_now_ns() < committer->end_ns) {
        ASSERT(commit_one(committer->store, committer->first + committer->done % 1000) == 0);
        committer->done++;
    }
    return NULL;
}

static void
bench_commits(struct store *store, const char *where, unsigned threads)
{
    struct committer committers[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    uint64_t start = clock_now_ns();
    char what[64];
    unsigned done = 0;

    for (unsigned i = 0; i < threads; i++) {
        committers[i] = (struct committer){
            .store = store, .first = i * 1000, .end_ns = start + SECONDS * UINT64_C(1000000000)};
        ASSERT(pthread_create(&ids[i], NULL, committer_run, &committers[i]) == 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        ASSERT(pthread_join(ids[i], NULL) == 0);
        done += committers[i].done;
    }
    (void)snprintf(what, sizeof(what), "commits of 100 bytes, %u threads", threads);
    say(where, what, done / ((double)(clock_now_ns() - start) / 1e9), "per s");
}

/* ------------------------------------------------------------------------------ blobs */

static void
bench_blobs(struct store *store, const char *where)
{
    uint64_t puts[BLOBS], gets[BLOBS], again[BLOBS];
    struct store_hash hashes[BLOBS];
    uint8_t *bytes = malloc(BLOB_BYTES);
    int fd;

    ASSERT(bytes != NULL);
    memset(bytes, 7, BLOB_BYTES);
    for (uint64_t i = 0; i < BLOBS; i++) {
        uint64_t start = clock_now_ns();
        uint64_t unique = start + i;

        memcpy(bytes, &unique, sizeof(unique));
        start = clock_now_ns();
        ASSERT(store_blob_put_bytes(store, bytes, BLOB_BYTES, &hashes[i], NULL) == 0);
        puts[i] = clock_now_ns() - start;
    }
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < BLOBS; i++) {
            uint64_t start = clock_now_ns();

            ASSERT(store_blob_get(store, &hashes[i], &fd, NULL) == 0);
            (round == 0 ? gets : again)[i] = clock_now_ns() - start;
            (void)close(fd);
        }
    for (unsigned i = 0; i < BLOBS; i++)
        ASSERT(store_blob_remove(store, &hashes[i], NULL) == 0);
    say(where, "put of 16 MiB, p50", percentile_us(puts, BLOBS, 50) / 1000, "ms");
    say(where, "get of 16 MiB, first time, p50", percentile_us(gets, BLOBS, 50) / 1000, "ms");
    say(where, "get of 16 MiB, again, p50", percentile_us(again, BLOBS, 50) / 1000, "ms");
    free(bytes);
}

/* --------------------------------------------------------------------------- the disk */

static void
bench_disk(const char *directory)
{
    uint8_t *bytes = calloc(1, BLOB_BYTES);
    uint64_t start = clock_now_ns(), times[BLOBS];
    char path[512];
    unsigned count = 0;
    int fd;

    ASSERT(bytes != NULL);
    (void)snprintf(path, sizeof(path), "%s/disk", directory);
    fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    ASSERT(fd >= 0 && pwrite(fd, bytes, 1 << 20, 0) == 1 << 20 && fsync(fd) == 0);
    start = clock_now_ns();
    for (; clock_now_ns() < start + SECONDS * UINT64_C(1000000000); count++)
        ASSERT(pwrite(fd, bytes, 4096, (off_t)(count % 256) * 4096) == 4096 && fdatasync(fd) == 0);
    say("disk", "4 KiB written and synced", count / ((double)(clock_now_ns() - start) / 1e9),
        "per s");
    for (unsigned i = 0; i < BLOBS; i++) {
        (void)unlink(path);
        (void)close(fd);
        start = clock_now_ns();
        fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        ASSERT(fd >= 0 && file_write_all(fd, bytes, BLOB_BYTES) == 0 && fsync(fd) == 0);
        times[i] = clock_now_ns() - start;
    }
    say("disk", "16 MiB written and synced, p50", percentile_us(times, BLOBS, 50) / 1000, "ms");
    (void)unlink(path);
    (void)close(fd);
    free(bytes);
}

static void
bench_records(const char *address, const char *where)
{
    const struct store_config config = {.records = address, .is_durable = true};
    struct store *store = open_store(&config);

    bench_get(store, where);
    bench_commits(store, where, 1);
    bench_commits(store, where, 16);
    store_close(store);
}

static void
bench_blobs_at(const char *address, const char *where)
{
    const struct store_config config = {
        .blobs = address, .is_durable = true, .s3_key = "S3RVER", .s3_secret = "S3RVER"};
    struct store *store = open_store(&config);

    bench_blobs(store, where);
    store_close(store);
}

static const char *
option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

int
main(int argc, char **argv)
{
    const char *directory = option(argc, argv, "--dir"), *redis = option(argc, argv, "--redis");
    const char *s3 = option(argc, argv, "--s3"), *out = option(argc, argv, "--out");
    char address[512];

    if (directory == NULL) {
        (void)fprintf(stderr,
                      "usage: store --dir DIR [--redis ADDRESS] [--s3 ADDRESS] [--out FILE]\n");
        return 2;
    }
    if (out != NULL && (rows = fopen(out, "w")) == NULL) {
        (void)fprintf(stderr, "cannot write %s\n", out);
        return 1;
    }
    (void)snprintf(address, sizeof(address), "dir:%s", directory);
    bench_disk(directory);
    bench_records(address, "lmdb");
    if (redis != NULL)
        bench_records(redis, "redis");
    bench_blobs_at(address, "files");
    if (s3 != NULL)
        bench_blobs_at(s3, "s3");
    if (rows != NULL)
        (void)fclose(rows);
    return 0;
}
