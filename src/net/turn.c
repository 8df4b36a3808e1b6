/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns: a thread's list of the connections that it has sent something on since its turn
 * began. A connection is on one thread's list at a time; what others send on it in the
 * meantime goes out with that thread's turn, or before.
 */
#include "base/assert.h"
#include "net/net_internal.h"

static _Thread_local struct {
    bool is_on;
    struct net_connection *first;
} turn;

bool
turn_is_on(void)
{
    return turn.is_on;
}

void
turn_note(struct net_connection *connection)
{
    if (connection->is_in_turn)
        return;
    connection->is_in_turn = true;
    connection->turn_next = turn.first;
    turn.first = connection;
    (void)atomic_fetch_add_explicit(&connection->references, 1, memory_order_relaxed);
}

static void
flush_one(struct net_connection *connection)
{
    (void)pthread_mutex_lock(&connection->lock);
    connection->is_in_turn = false;
    if (!connection->is_over && !connection->is_blocked)
        (void)!connection_flush(connection); /* who receives hears of its end */
    (void)pthread_mutex_unlock(&connection->lock);
    connection_put(connection);
}

void
net_turn_begin(void)
{
    ASSERT(!turn.is_on);
    turn.is_on = true;
}

void
net_turn_flush(void)
{
    while (turn.first != NULL) {
        struct net_connection *connection = turn.first;

        turn.first = connection->turn_next;
        flush_one(connection);
    }
}

void
net_turn_end(void)
{
    ASSERT(turn.is_on);
    turn.is_on = false;
    net_turn_flush();
}
