/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects that all calls of a tenant share, built on weft/state.h. For C; weft/state.hpp has
 * classes for C++.
 *
 * Two kinds. Those that are memory (arrays, matrices) are used in place, cost nothing to read or
 * write, and are this host's until they are pushed and pulled. Those that are asked for
 * (counter, list, map, queue, barrier, semaphore, lock) are the same everywhere at every moment:
 * each function takes effect at one moment between its call and its return (linearizable).
 *
 * When a host dies: what was written to memory there and not pushed is lost, and nothing else of
 * memory. Of those that are asked for, what had returned 0 is kept; a function that had not
 * returned has happened once or not at all. That is also what EIO means.
 *
 * With WEFT_STATE_LAZY what comes when it is touched is never older than it was when the object
 * was opened; what another call has open on this host is shown as it was pulled last.
 *
 * On one host an array or a matrix is opened with one type and as one kind (HOGWILD or not) at a
 * time: with another it is EINVAL.
 *
 * Functions return 0 or a number of <errno.h>, those of weft/state.h and what they say
 * themselves. Nothing is allocated; structs belong to the caller, are good for one call, and
 * what is mapped goes with the call if it is not closed.
 */
#ifndef WEFT_OBJECTS_H
#define WEFT_OBJECTS_H

#include <errno.h>
#include <stdint.h>

#include "state.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_KEY_BYTES 256u /* with the NUL */

static inline uint32_t
weft_type_bytes(enum weft_type type)
{
    return type == WEFT_INT64 || type == WEFT_DOUBLE ? 8 : 4;
}

/* Beside WEFT_STATE_WRITE, _LAZY and _CREATE, and _SUM of arrays, for what is memory. Fixed: it
 * never changes any more, so it is not synchronised: pulls ask nobody and return 0. Not with WRITE
 * (EINVAL). */
#define WEFT_FIXED 0x10000u

/* ---------------------------------------------------------------------- typed array
 *
 * The value is its elements and nothing else.
 *
 * A reader sees what calls on his host write at once, what others push after his next pull. One
 * element is never half of one write and half of another. Two hosts that write
 * different elements lose nothing when both push; of the same element the last push stays: use
 * a lock (pull after it, push before it is let go), or a HOGWILD array, or weft_state_add. */
struct weft_array {
    void *items; /* of the part that is open */
    uint64_t first, count;
    uint64_t length; /* of the whole */
    enum weft_type type;
    uint32_t flags;
    void *mapped;
    char key[WEFT_KEY_BYTES];
};

/* All of it. length 0: as many as there are. EMSGSIZE: it has another length. */
int weft_array_open(struct weft_array *array, const char *key, enum weft_type type, uint64_t length,
                    uint32_t flags);
struct weft_range {
    uint64_t first, count;
};
/* Elements of a range, of an array that exists: also of one that is larger than memory. */
int weft_array_open_part(struct weft_array *array, const char *key, enum weft_type type,
                         struct weft_range range, uint32_t flags);
void weft_array_close(struct weft_array *array);
/* What is open of it, or these elements of the whole; a pull never takes back what was written
 * here and not pushed. A push is one change: others see all of it or nothing. */
int weft_array_pull(struct weft_array *array);
int weft_array_push(struct weft_array *array);
int weft_array_pull_part(struct weft_array *array, uint64_t first, uint64_t count);
int weft_array_push_part(struct weft_array *array, uint64_t first, uint64_t count);
/* A whole array at once, for WEFT_FIXED: EEXIST where there is one. */
int weft_array_publish(const char *key, enum weft_type type, const void *items, uint64_t length);

/* -------------------------------------------------------------------- HOGWILD array
 *
 * A typed array of float or double that many calls write without locks; what each of them adds
 * matters on the whole, not each time. Any call may add to any element at any time.
 *
 * Promised: what hosts have added to an element, between whatever syncs, is added up; an element
 * that nobody changes between two syncs has the same value everywhere, which is never half of one
 * number and half of another. Lost: of two additions to one element at the same moment on one host,
 * one; what a sync there brings from other hosts is such an addition, too. A program that is
 * compiled with -matomics loses none, and adds more slowly. After an EIO what was added
 * since the last sync has come to the others or is gone. When a host dies, what it added since
 * its last sync.
 *
 * To set an element is to add the difference: two hosts that set it to 1 make it 2. */
static inline int
weft_hogwild_open(struct weft_array *array, const char *key, enum weft_type type, uint64_t length)
{
    if (type != WEFT_FLOAT && type != WEFT_DOUBLE)
        return EINVAL;
    return weft_array_open(array, key, type, length,
                           WEFT_STATE_WRITE | WEFT_STATE_CREATE | WEFT_STATE_SUM);
}
#ifdef __wasm_atomics__
#define WEFT_HAS_ATOMICS 1
#else
#define WEFT_HAS_ATOMICS 0
#endif
/* What was written here is pushed, what others have pushed is merged. */
int weft_hogwild_sync(struct weft_array *array);
/* Never half a number. Without -matomics an addition is a load and a store. */
static inline double
weft_hogwild_get(const double *item)
{
    double value;

    __atomic_load(item, &value, __ATOMIC_RELAXED);
    return value;
}
static inline void
weft_hogwild_add(double *item, double value)
{
    double old = weft_hogwild_get(item), sum = old + value;

    if (!WEFT_HAS_ATOMICS) {
        __atomic_store(item, &sum, __ATOMIC_RELAXED);
        return;
    }
    while (!__atomic_compare_exchange(item, &old, &sum, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        sum = old + value;
}

/* --------------------------------------------------------------------- dense matrix
 *
 * Column-major: element (row, column) is at items[(column - first) * leading + row]. The value is
 * a header of 64 KiB (of which a page exists), then the columns.
 *
 * Readers, writers, hosts that die: as of the typed array. A leading dimension that makes a
 * column a multiple of 64 KiB lets lazy columns come alone; else neighbours in a piece of
 * 64 KiB come with them. */
struct weft_matrix {
    void *items; /* of the first column that is open */
    uint64_t rows, columns, leading;
    struct weft_range open; /* columns */
    enum weft_type type;
    uint32_t flags;
    void *mapped;
    char key[WEFT_KEY_BYTES];
};
struct weft_shape {
    enum weft_type type;
    uint64_t rows, columns;
    uint64_t leading; /* 0: rows */
};
/* With zeros. 0 also where there is one of this shape; EMSGSIZE: of another; EPROTO: what has
 * this key is no matrix. */
int weft_matrix_create(const char *key, const struct weft_shape *shape);
/* ENOENT, EAGAIN: it is being made at this moment. */
int weft_matrix_open(struct weft_matrix *matrix, const char *key, uint32_t flags);
int weft_matrix_open_columns(struct weft_matrix *matrix, const char *key, struct weft_range columns,
                             uint32_t flags);
void weft_matrix_close(struct weft_matrix *matrix);
/* The columns that are open. */
int weft_matrix_pull(struct weft_matrix *matrix);
int weft_matrix_push(struct weft_matrix *matrix);
/* Some rows of some columns, counted from the matrix's first. What is between its columns may be
 * brought or sent with it; it is one change. EINVAL: not in what is open. */
int weft_matrix_pull_block(struct weft_matrix *matrix, struct weft_range rows,
                           struct weft_range columns);
int weft_matrix_push_block(struct weft_matrix *matrix, struct weft_range rows,
                           struct weft_range columns);
/* Where an element of an open column is. */
static inline void *
weft_matrix_at(const struct weft_matrix *matrix, uint64_t row, uint64_t column)
{
    uint64_t index = (column - matrix->open.first) * matrix->leading + row;

    return (char *)matrix->items + index * weft_type_bytes(matrix->type);
}

/* -------------------------------------------------------------------- sparse matrix
 *
 * Compressed by columns (CSC) or by rows (CSR): "lines" are columns of the one, rows of the
 * other. One value: a header, where each line starts, the indices, the elements, each from a
 * multiple of 64 KiB on.
 *
 * It is stored once, in one change, and never changes: readers see all of it or EAGAIN, nothing is
 * ever pulled again, and a host that dies takes nothing along but a matrix that it was just
 * making. With WEFT_STATE_LAZY what is not read never comes. */
enum weft_order { WEFT_CSC = 1, WEFT_CSR = 2 };
struct weft_sparse_shape {
    enum weft_order order;
    enum weft_type type; /* of the elements */
    uint32_t rows, columns;
};
struct weft_triplet {
    uint32_t row, column;
    double value;
};
struct weft_sparse {
    struct weft_sparse_shape shape;
    uint32_t lines;
    uint64_t nonzeros;
    struct weft_range open;  /* lines */
    const uint32_t *starts;  /* lines + 1, of all lines */
    const uint32_t *indices; /* of the first line that is open */
    const void *elements;
    void *mapped[3];
    char key[WEFT_KEY_BYTES];
};
/* In any order; those of the same place are added up. EEXIST: there is one. ERANGE: a place
 * outside. They are sorted where they are. */
int weft_sparse_build(const char *key, const struct weft_sparse_shape *shape,
                      struct weft_triplet *triplets, uint32_t count);
/* What is compressed already: lines + 1 starts, then so many indices and elements. */
int weft_sparse_store(const char *key, const struct weft_sparse_shape *shape,
                      const uint32_t *starts, const uint32_t *indices, const void *elements);
/* flags: 0 or WEFT_STATE_LAZY. */
int weft_sparse_open(struct weft_sparse *sparse, const char *key, uint32_t flags);
/* Some lines only, also of what is larger than memory. */
int weft_sparse_open_lines(struct weft_sparse *sparse, const char *key, struct weft_range lines,
                           uint32_t flags);
void weft_sparse_close(struct weft_sparse *sparse);
/* Its number of elements; where their indices and they themselves are. */
static inline uint32_t
weft_sparse_line(const struct weft_sparse *sparse, uint32_t line, const uint32_t **indices,
                 const void **elements)
{
    uint32_t at = sparse->starts[line] - sparse->starts[sparse->open.first];

    *indices = sparse->indices + at;
    *elements = (const char *)sparse->elements + (uint64_t)at * weft_type_bytes(sparse->shape.type);
    return sparse->starts[line + 1] - sparse->starts[line];
}

/* -------------------------------------------------------------------------- counter
 *
 * A number, 0 until somebody adds. Linearizable, exact; nothing that returned is lost. */
static inline int
weft_counter_add(const char *key, int64_t value, int64_t *sum)
{
    return weft_state_add(key, 0, value, sizeof(value), sum);
}
int weft_counter_get(const char *key, int64_t *value);

/* ----------------------------------------------------------------------------- list
 *
 * Records of at most 1 MiB, in one order for all. Linearizable; nothing that returned is
 * lost. weft_state_read reads many at once, weft_state_trim forgets the oldest. */
static inline int
weft_list_append(const char *key, const void *bytes, uint32_t count, uint64_t *index)
{
    return weft_state_append(key, bytes, count, index);
}
/* Those that were ever appended; 0: also where there is none. */
int weft_list_length(const char *key, uint64_t *length);
/* One record. ENOENT: not yet. EIDRM: it was trimmed. ENOBUFS: more than `room`. */
int weft_list_get(const char *key, uint64_t index, void *to, uint32_t room, uint32_t *count);

/* ------------------------------------------------------------------------- hash map
 *
 * Bytes under names. Each entry is a value of its own, "KEY/NAME", found by the hash tables of
 * the tier; chosen over a table in one value under a lock because calls that use different
 * names never wait for each other, what is read often is answered on the host itself, nobody can
 * die with the lock, and it grows without being copied. The price: each entry counts as a key
 * of the tenant's, and KEY/NAME has at most 255 bytes.
 *
 * Each entry is linearizable; next is not a picture of one moment: what is put or removed
 * meanwhile may be met or not. Nothing that returned is lost. */
int weft_map_put(const char *key, const char *name, const void *bytes, uint32_t count);
/* EEXIST: there is one, and it is left. */
int weft_map_put_new(const char *key, const char *name, const void *bytes, uint32_t count);
/* ENOENT. ENOBUFS: it has more than `room`; *count says how many, nothing is read. */
int weft_map_get(const char *key, const char *name, void *to, uint32_t room, uint32_t *count);
/* To an entry of 8 bytes that is a number, made as 0. */
int weft_map_add(const char *key, const char *name, int64_t value, int64_t *sum);
int weft_map_remove(const char *key, const char *name);
/* The name after `name` ("": the first), in its place. ENOENT: that was the last. */
int weft_map_next(const char *key, char name[WEFT_KEY_BYTES]);

/* ---------------------------------------------------------------------------- queue
 *
 * First in, first out, from and to any number of calls. A log of items, and a number: the next
 * to be taken. Who takes reads the item first and then makes the number one larger, only where
 * nobody else has (compare-and-swap): an addition could not be taken back by one whose time
 * is over, and would leave a hole.
 *
 * Linearizable. An item that was pushed stays until it is taken; it is taken once: a call or
 * host that dies with it in its hands takes it along, and where pop returns EIO it may be gone. */
struct weft_queue {
    uint64_t next, version; /* as they were last seen */
    char items[WEFT_KEY_BYTES], cursor[WEFT_KEY_BYTES];
};
int weft_queue_open(struct weft_queue *queue, const char *key);
int weft_queue_push(struct weft_queue *queue, const void *bytes, uint32_t count);
/* ETIMEDOUT: there was none (timeout_ns 0: at this moment). ENOBUFS: it has more bytes than there
 * is room for, and stays the first. */
int weft_queue_pop(struct weft_queue *queue, void *to, uint32_t room, uint32_t *count,
                   int64_t timeout_ns);
int weft_queue_length(struct weft_queue *queue, uint64_t *length);

/* -------------------------------------------------------------------------- barrier
 *
 * Nobody goes on before `parties` have come; then it is ready for the next round. What was
 * pushed before one came is seen by pulls of all who went on. A party that dies before it came
 * is waited for, until the time is over; one that died after is counted. */
int weft_barrier_wait(const char *key, uint32_t parties, int64_t timeout_ns);
/* The two halves: who came and whose time was over waits on with the same ticket. */
int weft_barrier_come(const char *key, uint32_t parties, int64_t *ticket);
int weft_barrier_pass(const char *key, int64_t ticket, int64_t timeout_ns);

/* ------------------------------------------------------------------------ semaphore
 *
 * Never more than `count` have it. In no order. Who dies with it takes it along: where that must
 * not be, use a lock, which is let go with its holder. */
int weft_semaphore_create(const char *key, uint32_t count); /* 0 also where there is one */
int weft_semaphore_acquire(const char *key, int64_t timeout_ns);
int weft_semaphore_release(const char *key);

/* ----------------------------------------------------------------------------- lock
 *
 * For all hosts: readers or one writer, in order, let go when the call is over. A host that is
 * cut off loses it; its changes of that key are refused then (ESTALE). To change other
 * keys under it: push them with WEFT_STATE_WRITE locks of their own. EDEADLK: this call has it. */
static inline int
weft_lock_take(const char *key, int64_t timeout_ns)
{
    return weft_state_lock(key, WEFT_STATE_LOCK_WRITE, timeout_ns);
}
static inline int
weft_lock_drop(const char *key)
{
    return weft_state_unlock(key, WEFT_STATE_LOCK_WRITE);
}

#ifdef __cplusplus
}
#endif

#endif
