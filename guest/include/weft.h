/* SPDX-License-Identifier: Apache-2.0
 *
 * What a program can ask of Weft, beside what the C library gives.
 */
#ifndef WEFT_H
#define WEFT_H

#ifdef __cplusplus
extern "C" {
#endif

/* A good place to start from: after initialisation, before the first input. Where the
 * host makes a Proto-Faaslet (weft snapshot), every later start begins here. Returns 0
 * in the process that came here by itself, else a number that is not 0: open what must
 * be one's own, seed random numbers anew. Elsewhere it does nothing and returns 0. */
__attribute__((import_module("weft"), import_name("snapshot"))) int weft_snapshot(void);

#ifdef __cplusplus
}
#endif

#endif
