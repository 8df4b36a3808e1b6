/* SPDX-License-Identifier: Apache-2.0
 *
 * net: what the library stands on: ordered messages between the members of a group, and their
 * memory. In a guest these are calls of the host (net.c: module "weft_group", src/hostcall); in
 * the library's own tests members are processes of this machine (testing.c).
 *
 * Nothing here waits but mpi_net_wait. Members are numbered from 0 in the order of the world. A
 * member's memory is named by addresses as that member has them. What is said of one member to
 * another arrives once, whole and in order, wherever they are and move to.
 */
#ifndef WEFT_MPI_NET_H
#define WEFT_MPI_NET_H

#include <stdbool.h>
#include <stdint.h>

#define MPI_NET_BYTES_MAX 4096u /* of a message, head and body together */

/* Joins the world. False: this program was not started as a member of one: it is a world of one,
 * and sends and receives to itself alone. Once. */
bool mpi_net_enter(uint32_t *member, uint32_t *count);
/* This member is done: it says nothing any more, and awaits nothing. */
void mpi_net_leave(void);
/* Ends the whole world, with its exit code and a reason for people. */
_Noreturn void mpi_net_abort(int code, const char *reason);

/* Head and body are one message. False: there is no room now; wait, and say it again. */
bool mpi_net_send(uint32_t to, const void *head, uint32_t head_bytes, const void *body,
                  uint32_t body_bytes);

/* The next message of anybody: its first head_bytes are copied (it has at least so many), the rest
 * stays until mpi_net_take. *body_bytes: how many that are. False: there is none. */
bool mpi_net_receive(uint32_t *from, void *head, uint32_t head_bytes, uint32_t *body_bytes);
/* Copies the first bytes of the body of the last one received, and gives its room back. Always
 * called once after a receive that was true; bytes may be fewer than there are. */
void mpi_net_take(void *to, uint32_t bytes);

/* Returns when a message may have come or room may have been made, or a while has passed; at once
 * where that happened since the last receive or send that was false. what: the call of the program
 * that waits, static text ("MPI_Recv from 3"), told where the world waits for itself. */
void mpi_net_wait(const char *what);

/* Copies bytes out of, or into, a member's memory. What is there for others to read or write was
 * said by that member: an address that is not in its memory ends the caller as if it were its own.
 * Complete when they return. */
void mpi_net_get(uint32_t from, uint64_t address, void *to, uint64_t bytes);
void mpi_net_put(uint32_t to, uint64_t address, const void *from, uint64_t bytes);

/* One atomic change of 4 or 8 aligned bytes in a member's memory, and what was there before: set to
 * value; add value; set to value where it is `expected`. */
enum mpi_net_change { MPI_NET_SET, MPI_NET_ADD, MPI_NET_SET_IF };
uint64_t mpi_net_change(uint32_t member, uint64_t address, uint32_t bytes,
                        enum mpi_net_change change, uint64_t value, uint64_t expected);

/* Memory that near members share: who first names a key makes it, zero, bytes long; who names it
 * later gets the same. Where it lies in this member's memory; NULL: it is not to be had. The last
 * one that gives it back ends the key. */
void *mpi_net_share(uint64_t key, uint64_t bytes);
void mpi_net_unshare(uint64_t key, void *address);

/* Whether that member's memory can be read without a message to it (it is in this cell). */
bool mpi_net_is_near(uint32_t member);

/* Seconds since some time in the past, the same for all near members. */
double mpi_net_time(void);

#endif
