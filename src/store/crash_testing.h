/* SPDX-License-Identifier: Apache-2.0
 *
 * A child that commits and puts from several threads, says after each what was answered,
 * and is killed in the middle of it. What it said must be there, and nothing half.
 */
#ifndef WEFT_STORE_CRASH_TESTING_H
#define WEFT_STORE_CRASH_TESTING_H

#include <openssl/sha.h>

#include "store/store_testing.h"

#define CRASH_THREADS 4
#define CRASH_PARTS   3 /* records of one commit, which must agree */
#define CRASH_BYTES   30000

struct crash_note {
    uint32_t thread, is_blob;
    uint64_t number;
};

struct crash_worker {
    struct store *store;
    int report; /* pipe; a note is written at once */
    uint32_t thread;
    uint64_t first;
    bool has_records, has_blobs;
};

static inline void
crash_key(char out[24], uint32_t thread, unsigned part)
{
    (void)snprintf(out, 24, "thread-%u-part-%u", thread, part);
}

static inline void
crash_blob(uint8_t *bytes, uint32_t thread, uint64_t number)
{
    for (size_t i = 0; i < CRASH_BYTES; i++)
        bytes[i] = (uint8_t)(i + thread * 7 + number * 13 + (i >> 8) * number);
    memcpy(bytes, &number, sizeof(number));
}

static inline int
crash_commit(const struct crash_worker *worker, uint64_t number)
{
    struct store_change changes[CRASH_PARTS];
    char keys[CRASH_PARTS][24], value[32];

    (void)snprintf(value, sizeof(value), "%llu", (unsigned long long)number);
    for (unsigned i = 0; i < CRASH_PARTS; i++) {
        crash_key(keys[i], worker->thread, i);
        changes[i] = testing_put(i == 0 ? "crash" : "crash-too", keys[i], value);
    }
    return store_commit(worker->store, changes, CRASH_PARTS, NULL, NULL, NULL);
}

static inline void
crash_say(const struct crash_worker *worker, bool is_blob, uint64_t number)
{
    const struct crash_note note = {.thread = worker->thread, .is_blob = is_blob, .number = number};

    if (write(worker->report, &note, sizeof(note)) != sizeof(note))
        _exit(1);
}

static inline void *
crash_worker_run(void *context)
{
    const struct crash_worker *worker = context;
    uint8_t *bytes = malloc(CRASH_BYTES);
    struct store_hash hash;

    for (uint64_t number = worker->first;; number++) {
        if (worker->has_records) {
            if (crash_commit(worker, number) != 0)
                _exit(1);
            crash_say(worker, false, number);
        }
        if (worker->has_blobs) {
            crash_blob(bytes, worker->thread, number);
            if (store_blob_put_bytes(worker->store, bytes, CRASH_BYTES, &hash, NULL) != 0)
                _exit(1);
            crash_say(worker, true, number);
        }
    }
}

/* Never returns. */
static inline void
crash_child(const struct store_config *config, int report, uint64_t first)
{
    struct crash_worker workers[CRASH_THREADS];
    struct store *store = NULL;
    pthread_t thread;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (store_open(config, &store, NULL) != 0)
        _exit(2);
    for (uint32_t i = 0; i < CRASH_THREADS; i++) {
        workers[i] = (struct crash_worker){.store = store,
                                           .report = report,
                                           .thread = i,
                                           .first = first,
                                           .has_records = config->records != NULL,
                                           .has_blobs = config->blobs != NULL};
        if (pthread_create(&thread, NULL, crash_worker_run, &workers[i]) != 0)
            _exit(3);
    }
    for (;;)
        (void)pause();
}

/* Runs a child until it has said so much, kills it, and collects what it said. */
static inline void
crash_once(const struct store_config *config, uint64_t first, size_t notes_max,
           uint64_t committed[CRASH_THREADS], uint64_t put[CRASH_THREADS])
{
    struct crash_note note;
    size_t count = 0;
    int ends[2], status;
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        crash_child(config, ends[1], first);
    }
    (void)close(ends[1]);
    /* What is in the pipe after the kill was said before. */
    while (read(ends[0], &note, sizeof(note)) == sizeof(note)) {
        if (++count == notes_max)
            (void)kill(pid, SIGKILL);
        assert_true(note.thread < CRASH_THREADS);
        (note.is_blob ? put : committed)[note.thread] = note.number;
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    (void)close(ends[0]);
}

static inline void
crash_check_records(struct store *store, const uint64_t committed[CRASH_THREADS])
{
    for (uint32_t thread = 0; thread < CRASH_THREADS; thread++) {
        long first = 0;

        for (unsigned part = 0; part < CRASH_PARTS; part++) {
            char key[24];
            uint64_t version;
            long value;

            crash_key(key, thread, part);
            value = testing_number(store, part == 0 ? "crash" : "crash-too", key, &version);
            if (part == 0)
                first = value;
            assert_int_equal(value, first);
        }
        /* One more may have happened whose answer was not told. */
        assert_true((uint64_t)first >= committed[thread]);
        assert_true((uint64_t)first <= committed[thread] + 1 || committed[thread] == 0);
    }
}

static inline void
crash_check_blobs(struct store *store, uint64_t first, const uint64_t put[CRASH_THREADS])
{
    uint8_t *bytes = malloc(CRASH_BYTES);

    for (uint32_t thread = 0; thread < CRASH_THREADS; thread++)
        for (uint64_t number = first; number <= put[thread]; number++) {
            struct store_hash hash;
            struct diag diag;
            int fd = -1;

            diag_init(&diag);
            crash_blob(bytes, thread, number);
            (void)SHA256(bytes, CRASH_BYTES, hash.bytes);
            if (store_blob_get(store, &hash, &fd, &diag) != 0)
                fail_msg("what was put is not there: %s", diag_text(&diag));
            file_close(&fd);
        }
    free(bytes);
}

static bool
crash_blob_whole(void *context, const struct store_hash *hash, uint64_t bytes, uint64_t changed_ns)
{
    int fd = -1;

    (void)changed_ns;
    assert_int_equal(store_blob_get(context, hash, &fd, NULL), 0);
    assert_true(bytes > 0);
    (void)close(fd);
    return true;
}

/* Every blob that is listed is whole. */
static inline void
crash_check_all_blobs(struct store *store)
{
    assert_int_equal(store_blob_list(store, crash_blob_whole, store, NULL), 0);
}

#endif
