/* SPDX-License-Identifier: Apache-2.0
 *
 * An open-addressing hash table with string keys: insert, find, delete.
 */
#include "../kernels/kernel.h"

#define SLOTS     (1u << 17)
#define KEYS      60000
#define KEY_BYTES 16
#define NO_ENTRY  (-1)
#define TOMBSTONE (-2)

static char keys[KEYS][KEY_BYTES];
static int32_t slots[SLOTS];
static int32_t values[KEYS];
static uint64_t found_sum;

static void
init(void)
{
    uint32_t state = 17;

    for (uint32_t i = 0; i < SLOTS; i++)
        slots[i] = NO_ENTRY;
    for (int i = 0; i < KEYS; i++) {
        int length = 4 + (int)(bench_random(&state) % (KEY_BYTES - 5));

        for (int j = 0; j < KEY_BYTES; j++)
            keys[i][j] = j < length ? (char)('a' + bench_random(&state) % 26) : '\0';
        values[i] = i;
    }
    found_sum = 0;
}

static uint32_t
hash(const char *key)
{
    uint32_t h = 2166136261u;

    for (; *key != '\0'; key++)
        h = (h ^ (uint8_t)*key) * 16777619u;
    return h ^ h >> 15;
}

static int
is_same(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* The slot that holds the key, or NO_ENTRY. */
static int32_t
table_find(const char *key)
{
    for (uint32_t at = hash(key) % SLOTS;; at = (at + 1) % SLOTS) {
        if (slots[at] == NO_ENTRY)
            return NO_ENTRY;
        if (slots[at] >= 0 && is_same(keys[slots[at]], key))
            return (int32_t)at;
    }
}

static void
table_insert(int32_t entry)
{
    uint32_t at = hash(keys[entry]) % SLOTS;

    if (table_find(keys[entry]) >= 0)
        return;
    while (slots[at] >= 0)
        at = (at + 1) % SLOTS;
    slots[at] = entry;
}

static void
table_delete(const char *key)
{
    int32_t at = table_find(key);

    if (at >= 0)
        slots[at] = TOMBSTONE;
}

KERNEL
kernel(void)
{
    for (int i = 0; i < KEYS; i++)
        table_insert(i);
    for (int i = 0; i < KEYS; i += 3)
        table_delete(keys[i]);
    for (int pass = 0; pass < 4; pass++)
        for (int i = 0; i < KEYS; i++) {
            int32_t at = table_find(keys[(i * 7919) % KEYS]);

            found_sum = found_sum * 3 + (at < 0 ? 1 : (uint64_t)values[slots[at]]);
        }
    for (int i = 0; i < KEYS; i += 3)
        table_insert(i);
}

static int64_t
checksum(void)
{
    return (int64_t)found_sum;
}

int
main(void)
{
    return bench_integer(init, kernel, checksum, 9);
}
