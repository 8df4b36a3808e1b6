/* SPDX-License-Identifier: Apache-2.0
 *
 * What blobs promise, wherever they are: run on testing_store.
 */
#ifndef WEFT_STORE_BLOBS_TESTING_H
#define WEFT_STORE_BLOBS_TESTING_H

#include <sys/mman.h>
#include <time.h>

#include "store/store_testing.h"

static const char hash_of_abc[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

static void
hash_text(const struct store_hash *hash, char out[65])
{
    for (size_t i = 0; i < STORE_HASH_BYTES; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", hash->bytes[i]);
}

static uint8_t *
blob_bytes(size_t count, unsigned seed)
{
    uint8_t *bytes = malloc(count + 1);

    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(i * 31 + (i >> 7) + seed);
    return bytes;
}

static struct store_hash
blob_put(const void *bytes, size_t count)
{
    struct store_hash hash;
    struct diag diag;

    diag_init(&diag);
    if (store_blob_put_bytes(testing_store, bytes, count, &hash, &diag) != 0)
        fail_msg("cannot put: %s", diag_text(&diag));
    return hash;
}

static void
blob_expect(const struct store_hash *hash, const void *bytes, size_t count)
{
    uint8_t *found = malloc(count + 1);
    uint64_t size = 0;
    struct diag diag;
    ssize_t got = 0;
    int fd = -1;

    diag_init(&diag);
    if (store_blob_get(testing_store, hash, &fd, &diag) != 0)
        fail_msg("cannot get: %s", diag_text(&diag));
    for (size_t at = 0; (got = read(fd, found + at, count + 1 - at)) > 0; at += (size_t)got)
        size += (uint64_t)got;
    assert_int_equal(got, 0);
    assert_int_equal(size, count);
    assert_int_equal(memcmp(found, bytes, count), 0);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, (off_t)count + 1), -1);
    assert_int_equal(store_blob_stat(testing_store, hash, &size, NULL), 0);
    assert_int_equal(size, count);
    (void)close(fd);
    free(found);
}

static void
test_a_blob_comes_back_under_its_hash(void **state)
{
    static const size_t sizes[] = {0, 1, 3, 262143, 262144, 262145, 3000000};
    struct store_hash hash = blob_put("abc", 3);
    char text[65];

    (void)state;
    hash_text(&hash, text);
    assert_string_equal(text, hash_of_abc);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        uint8_t *bytes = blob_bytes(sizes[i], 1);

        hash = blob_put(bytes, sizes[i]);
        blob_expect(&hash, bytes, sizes[i]);
        blob_expect(&hash, bytes, sizes[i]);
        free(bytes);
    }
}

static void
test_a_blob_is_put_from_the_offset_and_from_a_pipe(void **state)
{
    struct store_hash hash, piped;
    int fd = memfd_create("blob", MFD_CLOEXEC);
    int ends[2];
    char text[65];

    (void)state;
    assert_int_equal(write(fd, "12abc", 5), 5);
    assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
    assert_int_equal(store_blob_put(testing_store, fd, &hash, NULL), 0);
    hash_text(&hash, text);
    assert_string_equal(text, hash_of_abc);
    (void)close(fd);

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "piped", 5), 5);
    (void)close(ends[1]);
    assert_int_equal(store_blob_put(testing_store, ends[0], &piped, NULL), 0);
    (void)close(ends[0]);
    blob_expect(&piped, "piped", 5);
}

static void
test_what_is_not_there_or_was_removed_is_not_found(void **state)
{
    struct store_hash hash = {{1, 2, 3}};
    uint64_t bytes = 7;
    struct diag diag;
    int fd = -5;

    (void)state;
    diag_init(&diag);
    assert_int_equal(store_blob_get(testing_store, &hash, &fd, &diag), -ENOENT);
    assert_int_equal(store_blob_stat(testing_store, &hash, &bytes, &diag), -ENOENT);
    assert_int_equal(store_blob_remove(testing_store, &hash, &diag), 0);
    assert_int_equal(fd, -5);
    assert_int_equal(bytes, 7);
    hash = blob_put("to be removed", 13);
    blob_expect(&hash, "to be removed", 13);
    assert_int_equal(store_blob_remove(testing_store, &hash, NULL), 0);
    assert_int_equal(store_blob_get(testing_store, &hash, &fd, NULL), -ENOENT);
    hash = blob_put("to be removed", 13);
    blob_expect(&hash, "to be removed", 13);
}

static uint64_t blob_changed_ns(const struct store_hash *hash);

static void
test_what_is_old_is_removed_and_what_was_put_again_is_not(void **state)
{
    struct store_hash hash = blob_put("to grow old", 11), none = {{9, 2, 3}};
    uint64_t bytes, changed_ns = blob_changed_ns(&hash);

    (void)state;
    assert_int_equal(store_blob_remove_old(testing_store, &hash, changed_ns, NULL), -EAGAIN);
    blob_expect(&hash, "to grow old", 11);
    assert_int_equal(
        store_blob_remove_old(testing_store, &hash, changed_ns + 2 * CLOCK_NS_PER_SECOND, NULL), 0);
    assert_int_equal(store_blob_stat(testing_store, &hash, &bytes, NULL), -ENOENT);
    assert_int_equal(store_blob_remove_old(testing_store, &none, changed_ns, NULL), 0);
    hash = blob_put("to grow old", 11);
    blob_expect(&hash, "to grow old", 11);
}

static void
test_a_put_that_cannot_read_says_so(void **state)
{
    struct store_hash hash;
    struct diag diag;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)state;
    diag_init(&diag);
    assert_int_equal(store_blob_put(testing_store, fd, &hash, &diag), -EBADF);
    assert_true(diag.is_set);
    (void)close(fd);
}

/* ------------------------------------------------------------------------------- list */

struct blob_list {
    struct store_hash last, wanted;
    unsigned count, stop_after;
    uint64_t wanted_bytes, wanted_changed_ns;
    bool has_wanted;
};

static bool
blob_list_add(void *context, const struct store_hash *hash, uint64_t bytes, uint64_t changed_ns)
{
    struct blob_list *list = context;

    if (list->count++ > 0)
        assert_true(memcmp(list->last.bytes, hash->bytes, STORE_HASH_BYTES) < 0);
    list->last = *hash;
    if (memcmp(hash, &list->wanted, sizeof(*hash)) == 0) {
        list->has_wanted = true;
        list->wanted_bytes = bytes;
        list->wanted_changed_ns = changed_ns;
    }
    return list->count != list->stop_after;
}

static uint64_t
blob_changed_ns(const struct store_hash *hash)
{
    struct blob_list list = {.wanted = *hash};

    assert_int_equal(store_blob_list(testing_store, blob_list_add, &list, NULL), 0);
    assert_true(list.has_wanted);
    return list.wanted_changed_ns;
}

static void
test_a_list_has_all_blobs_in_order(void **state)
{
    struct blob_list before = {0}, after = {0}, stopped = {.stop_after = 2};
    struct timespec now;

    (void)state;
    assert_int_equal(store_blob_list(testing_store, blob_list_add, &before, NULL), 0);
    for (unsigned i = 0; i < 40; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "one of the listed %u", i);
        after.wanted = blob_put(text, strlen(text));
        after.wanted_bytes = strlen(text);
    }
    assert_int_equal(store_blob_list(testing_store, blob_list_add, &after, NULL), 0);
    assert_int_equal(after.count, before.count + 40);
    assert_true(after.has_wanted);
    assert_int_equal(after.wanted_bytes, strlen("one of the listed 39"));
    (void)clock_gettime(CLOCK_REALTIME, &now);
    assert_true(after.wanted_changed_ns / CLOCK_NS_PER_SECOND <= (uint64_t)now.tv_sec + 1);
    assert_true(after.wanted_changed_ns / CLOCK_NS_PER_SECOND >= (uint64_t)now.tv_sec - 600);
    assert_int_equal(store_blob_list(testing_store, blob_list_add, &stopped, NULL), 0);
    assert_int_equal(stopped.count, 2);
}

/* ------------------------------------------------------------------------ many threads */

#define BLOBS_EACH 12

struct putter {
    struct store *store;
    unsigned number;
    int err;
};

/* Half of the blobs are those of all other threads as well. */
static void *
putter_run(void *context)
{
    struct putter *putter = context;

    for (unsigned i = 0; i < BLOBS_EACH && putter->err == 0; i++) {
        uint8_t *bytes = blob_bytes(50000 + i, i % 2 == 0 ? 0 : 100 + putter->number);
        struct store_hash hash;
        uint8_t first = 0;
        int fd = -1;

        putter->err = store_blob_put_bytes(putter->store, bytes, 50000 + i, &hash, NULL);
        if (putter->err == 0)
            putter->err = store_blob_get(putter->store, &hash, &fd, NULL);
        if (putter->err == 0 && (pread(fd, &first, 1, 0) != 1 || first != bytes[0]))
            putter->err = -EBADMSG;
        file_close(&fd);
        free(bytes);
    }
    return NULL;
}

static void
putters_run(struct store *store)
{
    struct putter putters[TESTING_THREADS];

    for (unsigned i = 0; i < TESTING_THREADS; i++)
        putters[i] = (struct putter){.store = store, .number = i};
    testing_threads(putter_run, putters, sizeof(putters[0]));
    for (unsigned i = 0; i < TESTING_THREADS; i++)
        assert_int_equal(putters[i].err, 0);
}

static void
test_many_threads_put_the_same_and_other_blobs(void **state)
{
    (void)state;
    putters_run(testing_store);
}

/* Puts it again and again; what a put has said 0 to is there. */
static void *
putter_again(void *context)
{
    struct putter *putter = context;
    struct store_hash hash;
    uint64_t bytes;

    for (unsigned i = 0; i < 100 && putter->err == 0; i++) {
        putter->err = store_blob_put_bytes(putter->store, "again", 5, &hash, NULL);
        if (putter->err == 0)
            putter->err = store_blob_stat(putter->store, &hash, &bytes, NULL);
    }
    return NULL;
}

static void
test_what_is_put_all_the_time_is_never_old(void **state)
{
    struct putter putter = {.store = testing_store, .number = 1};
    struct store_hash hash = blob_put("again", 5);
    uint64_t begin_ns = blob_changed_ns(&hash), bytes;
    pthread_t thread;
    unsigned removed = 0, kept = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, putter_again, &putter), 0);
    for (unsigned i = 0; i < 100; i++) {
        int err = store_blob_remove_old(testing_store, &hash, begin_ns, NULL);

        assert_true(err == 0 || err == -EAGAIN);
        kept += err == -EAGAIN;
        removed += err == 0;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(putter.err, 0);
    assert_int_equal(store_blob_stat(testing_store, &hash, &bytes, NULL), 0);
    assert_int_equal(removed, 0);
    assert_int_equal(kept, 100);
}

#define BLOBS_TESTS \
    cmocka_unit_test(test_a_blob_comes_back_under_its_hash), \
        cmocka_unit_test(test_a_blob_is_put_from_the_offset_and_from_a_pipe), \
        cmocka_unit_test(test_what_is_not_there_or_was_removed_is_not_found), \
        cmocka_unit_test(test_what_is_old_is_removed_and_what_was_put_again_is_not), \
        cmocka_unit_test(test_what_is_put_all_the_time_is_never_old), \
        cmocka_unit_test(test_a_put_that_cannot_read_says_so), \
        cmocka_unit_test(test_a_list_has_all_blobs_in_order), \
        cmocka_unit_test(test_many_threads_put_the_same_and_other_blobs)

#endif
