/* SPDX-License-Identifier: Apache-2.0
 *
 * group: numbered members of one world, in one process: ordered messages between them, their
 * memory, waiting, the end.
 *
 *   member 0 ==ring==> member 1      one ring for each pair, or, where there are many members,
 *            <==ring==               for each receiver and lane: senders share those
 *
 * A message is a head and a body of at most GROUP_MESSAGE_BYTES_MAX together. It arrives once and
 * whole, those of one sender in their order. Rings are the group's own memory: nothing that a
 * guest writes is believed. A large thing is not sent: its place is said, and the other copies it
 * (group_copy).
 *
 * Nothing here waits. Who has nothing to do says so (group_wait) and is told by its owner's wake
 * when there is something again; that is never lost. Where all wait for each other the group ends,
 * with what each waits for.
 *
 * Any thread may call, but what one member does (send, receive, wait, enter, leave) is one call at
 * a time, each after the one before.
 */
#ifndef WEFT_GROUP_H
#define WEFT_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

#define GROUP_MEMBERS_MAX       4096u
#define GROUP_MESSAGE_BYTES_MAX 4096u
#define GROUP_TEXT_BYTES_MAX    255u  /* of a reason, and of what a member waits for */
#define GROUP_DIRECT_MAX        64u   /* so many members have a ring for each pair */
#define GROUP_SPIN_NS           50000 /* a member looks so long before it waits */

struct group;

/* Who runs the members. */
struct group_owner {
    /* What this member waits for may have happened: it is to look. It may be told more than once,
     * and also of one that is just about to wait. On the thread of whoever made it happen. */
    void (*wake)(void *context, uint32_t member);
    /* Whether the thread of this member has nothing better to do than to look again and again for
     * a moment. Often called. NULL: it never may. */
    bool (*may_spin)(void *context, uint32_t member);
    void *context;
};

/* Of 1 to GROUP_MEMBERS_MAX members, none of which has entered. Address space is reserved; memory
 * is used by rings that were used. -EINVAL, -ENOMEM. */
int group_create(uint32_t count, const struct group_owner *owner, struct group **out) MUST_CHECK;
/* Nobody calls any more. NULL is fine. */
void group_destroy(struct group *group);
uint32_t group_count(const struct group *group);

/* ----------------------------------------------------------------------------- members */

/* The member is there, with linear memory at base, of which others may copy (base NULL: of it none
 * may). It may have been sent messages before. -EALREADY: it has entered before. */
int group_enter(struct group *group, uint32_t me, uint8_t *base, uint64_t bytes) MUST_CHECK;
/* It says nothing any more and awaits nothing. What is sent to it from now on is lost. Waits until
 * copies of its memory are complete, which is soon. */
void group_leave(struct group *group, uint32_t me);

enum group_presence { GROUP_ABSENT, GROUP_ENTERED, GROUP_LEFT };
enum group_presence group_presence(const struct group *group, uint32_t member);

/* ---------------------------------------------------------------------------- messages */

struct group_message {
    const void *head, *body;
    uint32_t head_bytes, body_bytes; /* checked: at most GROUP_MESSAGE_BYTES_MAX together */
};

/* -EAGAIN: there is no room now; the member is woken when there is. */
int group_send(struct group *group, uint32_t me, uint32_t to,
               const struct group_message *message) MUST_CHECK;

/* The next message, which stays; the same one until it is dropped. Those of several senders come
 * in turn. False: there is none. */
bool group_peek(struct group *group, uint32_t me, uint32_t *from, uint32_t *bytes);
/* Copies bytes from offset on of the one that was peeked; they are in it. */
void group_read(const struct group *group, uint32_t me, uint32_t offset, void *to, uint32_t bytes);
/* The one that was peeked is gone. False: none was. */
bool group_drop(struct group *group, uint32_t me);

/* ----------------------------------------------------------------------------- waiting */

/* What a member waits for, for people: borrowed. */
struct group_wait {
    const char *what; /* of `bytes` bytes; copied, as far as there is room */
    uint32_t bytes;
    bool is_alone; /* all of the member waits: no other thread of it could go on */
};

/* Whether there is nothing, and the member may look again for a moment. group_wait does so itself
 * for one that is alone; others are not to be held up by it. */
bool group_may_look(struct group *group, uint32_t me);

/* True: there is a message, or room that it found missing, or the group has ended. Else, after
 * it has looked for a moment where it may, the member waits: its owner's wake comes. Called again,
 * it waits on. May end the group (deadlock), and returns true then. */
bool group_wait(struct group *group, uint32_t me, const struct group_wait *wait);

/* Wakes the member, if it waits: another thread of it did something. */
void group_poke(struct group *group, uint32_t me);

/* -------------------------------------------------------------- memory of other members */

/* Copies out of a member's memory, or into it. Complete when it returns. -EFAULT: not in that
 * memory (as its member last told: group_grown), -ESRCH: it has not entered, or has left; -EAGAIN:
 * it is just being moved: try again. Nothing of it was copied, or a part. */
int group_get(struct group *group, uint32_t from, uint64_t address, void *to,
              uint64_t bytes) MUST_CHECK;
int group_put(struct group *group, uint32_t to, uint64_t address, const void *from,
              uint64_t bytes) MUST_CHECK;
/* One atomic change of 4 or 8 bytes, aligned, in a member's memory; *old: what was there. SET_IF:
 * to value where it is expected. Errors as of copies; nothing was changed. -EINVAL: not aligned, or
 * of other size. */
enum group_change_kind { GROUP_SET, GROUP_ADD, GROUP_SET_IF };
struct group_change {
    uint32_t kind, bytes;
    uint64_t address, value, expected;
};
int group_change(struct group *group, uint32_t member, const struct group_change *change,
                 uint64_t *old) MUST_CHECK;

/* The member's memory has so many bytes now. Before it says an address to anybody. */
void group_grown(struct group *group, uint32_t me, uint64_t bytes);
/* Its memory is going to be moved, frozen or unmapped: returns when nobody copies (soon), and
 * nobody does until it has settled, at base. Of a member that has not entered nothing. */
void group_away(struct group *group, uint32_t me);
void group_settle(struct group *group, uint32_t me, uint8_t *base, uint64_t bytes);

/* ------------------------------------------------------------------------------ shares */

/* Memory that members share, by a key: made, zero, by the first that names it, with that one's
 * bytes, and given to all others that do until as many have given it back. *share is borrowed until
 * then. -EINVAL (bytes), -ENOMEM. */
struct mem_share;
int group_share(struct group *group, uint64_t key, uint64_t bytes,
                struct mem_share **share) MUST_CHECK;
/* The caller has it mapped no more. False: there is none of this key. */
bool group_unshare(struct group *group, uint64_t key);

/* ----------------------------------------------------------------------------- the end */

enum group_end_kind {
    GROUP_GOES_ON,
    GROUP_ABORTED,  /* a member wanted it */
    GROUP_LOST,     /* a member ended without leaving */
    GROUP_DEADLOCK, /* all wait for each other */
    GROUP_STOPPED,  /* by its owner */
};

struct group_end {
    enum group_end_kind kind;
    uint32_t member; /* by whom */
    int code;
    char reason[GROUP_TEXT_BYTES_MAX + 1]; /* for people, printable */
};

/* Ends the group, with this kind, and a reason of so many bytes, of which what cannot be printed is
 * replaced; all members are woken. False: it had ended before, and stays as it was. */
bool group_finish(struct group *group, const struct group_end *end, const char *reason,
                  size_t bytes);
/* GROUP_GOES_ON, or how it ended. *out may be NULL. */
enum group_end_kind group_ended(struct group *group, struct group_end *out);
/* The member's run is over, whatever it was: its memory goes. One that had not left ends the group
 * as GROUP_LOST; true: it did. */
bool group_gone(struct group *group, uint32_t me, int code, const char *reason);
/* What a member waited for when the deadlock was found; NULL: it did not. */
const char *group_waited_for(const struct group *group, uint32_t member);

#endif
