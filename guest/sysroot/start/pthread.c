/* SPDX-License-Identifier: Apache-2.0
 *
 * Linked by -pthread only. pthread_create wants it, so that a program that was linked
 * without shared memory is refused by the linker, with the reason as the symbol's name.
 */
extern const char __this_program_needs_the_option_pthread[];
const char __this_program_needs_the_option_pthread[1] = {0};
