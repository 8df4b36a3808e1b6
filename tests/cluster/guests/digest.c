/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of tests/cluster/crash: sleeps as many milliseconds as its input begins with, and
 * answers with FNV-1a of all of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

int
main(void)
{
    static unsigned char input[1 << 16];
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    uint32_t count = 0;
    char text[32];

    if (weft_input_read(0, input, sizeof(input) - 1, &count) != 0)
        return 1;
    (void)usleep((useconds_t)strtoul((const char *)input, NULL, 10) * 1000);
    for (uint32_t i = 0; i < count; i++)
        sum = (sum ^ input[i]) * UINT64_C(0x100000001b3);
    (void)snprintf(text, sizeof(text), "%016llx", (unsigned long long)sum);
    return weft_output(text, (uint32_t)strlen(text)) == 0 ? 0 : 2;
}
