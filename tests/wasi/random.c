/* SPDX-License-Identifier: Apache-2.0
 *
 * Random bytes: large and small requests, never twice the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define LARGE 1000000

int
main(void)
{
    unsigned char one[32], two[32];
    static unsigned char large[LARGE];
    unsigned counts[256] = {0};
    int low = 0;

    printf("getentropy: %d %d\n", getentropy(one, sizeof(one)), getentropy(two, sizeof(two)));
    printf("different: %d\n", memcmp(one, two, sizeof(one)) != 0);
    printf("too much at once: %d\n", getentropy(large, 257));
    for (int i = 0; i < LARGE / 250; i++)
        getentropy(large + i * 250, 250);
    for (int i = 0; i < LARGE; i++)
        counts[large[i]]++;
    for (int i = 0; i < 256; i++)
        low += counts[i] < LARGE / 256 / 2;
    printf("bytes seldom seen: %d\n", low);
    return 0;
}
