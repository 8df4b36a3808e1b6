/* SPDX-License-Identifier: Apache-2.0
 *
 * The peer of bench-state: GET of a value in Redis over a unix socket.
 *
 *      state-redis SOCKET BYTES COUNT      prints "p50 p99" in nanoseconds
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static int
by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void
ask(redisContext *redis, const char *format, const void *bytes, size_t count)
{
    redisReply *reply = redisCommand(redis, format, bytes, count);

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
        exit(EXIT_FAILURE);
    freeReplyObject(reply);
}

int
main(int argc, char **argv)
{
    size_t bytes = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    size_t count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    redisContext *redis = argc == 4 ? redisConnectUnix(argv[1]) : NULL;
    uint64_t *times = calloc(count + 1, sizeof(*times));
    char *value = calloc(1, bytes + 1);

    if (redis == NULL || redis->err != 0 || times == NULL || value == NULL || count == 0)
        return EXIT_FAILURE;
    ask(redis, "SET bench %b", value, bytes);
    for (size_t i = 0; i < count; i++) {
        uint64_t begin_ns = clock_now_ns();

        ask(redis, "GET bench", NULL, 0);
        times[i] = clock_now_ns() - begin_ns;
    }
    qsort(times, count, sizeof(*times), by_value);
    (void)printf("%llu %llu\n", (unsigned long long)times[count / 2],
                 (unsigned long long)times[count * 99 / 100]);
    redisFree(redis);
    free(times);
    free(value);
    return EXIT_SUCCESS;
}
