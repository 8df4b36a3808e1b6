/* SPDX-License-Identifier: Apache-2.0
 *
 * A frame of C, through which exceptions of C++ pass.
 */
int through_c(int (*function)(int), int value);

int
through_c(int (*function)(int), int value)
{
    return function(value) + 1;
}
