/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of tests/cluster: "push N" or "pop N" of its input with a queue that Python shares;
 * "visits" counts like it.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>
#include <weft/objects.h>

#define QUEUE  "example/queue"
#define VISITS "example/visits"

static int
work(struct weft_queue *queue, const char *verb, unsigned count)
{
    char item[64];
    uint32_t bytes;
    int err = weft_queue_open(queue, QUEUE);

    for (unsigned i = 0; err == 0 && i < count; i++)
        if (strcmp(verb, "push") == 0) {
            bytes = (uint32_t)snprintf(item, sizeof(item), "C %u", i);
            err = weft_queue_push(queue, item, bytes);
        } else {
            err = weft_queue_pop(queue, item, sizeof(item), &bytes, INT64_C(30000000000));
            if (err == 0)
                (void)printf("%.*s\n", (int)bytes, item);
        }
    return err;
}

int
main(void)
{
    char input[64] = "", verb[16] = "";
    struct weft_queue queue;
    uint32_t done = 0;
    unsigned count = 0;
    int64_t visits = 0;
    int err = weft_input_read(0, input, sizeof(input) - 1, &done);

    if (err == 0 && sscanf(input, "%15s %u", verb, &count) < 1)
        return 2;
    if (err == 0 && strcmp(verb, "visits") == 0) {
        err = weft_counter_add(VISITS, 1, &visits);
        (void)printf("%lld\n", (long long)visits);
    } else if (err == 0) {
        err = work(&queue, verb, count);
    }
    if (err != 0)
        (void)fprintf(stderr, "queue: %s\n", strerror(err));
    return err != 0;
}
