/* SPDX-License-Identifier: Apache-2.0
 *
 * Progress: takes what came, and lets whoever is due go on.
 *
 * One thread at a time drives: it takes messages, runs tasks, or waits for the net. Others that
 * have to wait sleep until something happened, and look again; the driver wakes them, and one of
 * them drives on when it is done. A driver that waits in the net is woken by a message to oneself,
 * which nobody else can take before it. Below MPI_THREAD_MULTIPLE there is nobody to wake.
 */
#include <pthread.h>

#include "message_internal.h"

#define ROUND_MESSAGES 64u /* taken before tasks have their turn */
#define OTHERS         16u /* kinds of messages of other parts */

static struct mpi_task *tasks, **tasks_end = &tasks;
static mpi_message_fn others[OTHERS];
static uint64_t completed; /* changes with each request that completes */

struct mpi_message_counts mpi_message_counts;

static bool is_driven, is_in_net, is_woken;
static bool is_awaited; /* somebody sleeps because another one drives */
static uint32_t sleepers;
static pthread_mutex_t sleep_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t sleep_end = PTHREAD_COND_INITIALIZER;
static uint32_t news; /* written with mpi_lock and sleep_lock */

_Noreturn void
mpi_message_no_memory(void)
{
    mpi_net_abort(MPI_ERR_NO_MEM, "no memory for messages");
}

/* --------------------------------------------------------------------------- threads */

static void
wake_sleepers(void)
{
    is_awaited = false;
    if (sleepers == 0)
        return;
    (void)pthread_mutex_lock(&sleep_lock);
    news++;
    (void)pthread_cond_broadcast(&sleep_end);
    (void)pthread_mutex_unlock(&sleep_lock);
}

void
mpi_progress_wake(void)
{
    static const struct mpi_message_head wake = {.kind = MPI_MESSAGE_WAKE};

    completed++;
    wake_sleepers();
    /* Without room for it there is something else for the driver to see. */
    if (is_in_net && !is_woken)
        (void)mpi_net_send(mpi_member(), &wake, sizeof(wake), NULL, 0);
    is_woken = is_in_net;
}

static void
sleep_a_while(void)
{
    uint32_t seen = news;

    sleepers++;
    mpi_unlock();
    (void)pthread_mutex_lock(&sleep_lock);
    while (news == seen)
        (void)pthread_cond_wait(&sleep_end, &sleep_lock);
    (void)pthread_mutex_unlock(&sleep_lock);
    mpi_lock();
    sleepers--;
}

static void
wait_in_net(const char *what)
{
    mpi_message_counts.waits++;
    is_driven = true;
    is_in_net = mpi_thread_level() == MPI_THREAD_MULTIPLE;
    mpi_unlock();
    mpi_net_wait(what);
    mpi_lock();
    is_driven = false;
    is_in_net = false;
    is_woken = false;
    wake_sleepers();
}

/* ---------------------------------------------------------------------------- rounds */

static void
other(uint32_t from, const struct mpi_message_head *head, uint32_t body_bytes)
{
    static unsigned char body[MPI_MESSAGE_OTHER_BYTES];
    uint32_t at = head->kind - MPI_MESSAGE_OTHER;

    if (at >= OTHERS || others[at] == NULL || body_bytes > sizeof(body))
        mpi_net_abort(MPI_ERR_INTERN, "a message of a kind that is not known");
    mpi_net_take(body, body_bytes);
    others[at](from, body, body_bytes);
}

static void
ignore(uint32_t from, const struct mpi_message_head *head, uint32_t body_bytes)
{
    (void)from;
    (void)head;
    (void)body_bytes;
    mpi_net_take(NULL, 0);
}

static bool
take_one(void)
{
    static void (*const kinds[])(uint32_t, const struct mpi_message_head *, uint32_t) = {
        [MPI_MESSAGE_EAGER] = mpi_message_arrive,  [MPI_MESSAGE_OFFER] = mpi_message_arrive,
        [MPI_MESSAGE_DONE] = mpi_message_done,     [MPI_MESSAGE_CANCEL] = mpi_message_cancel,
        [MPI_MESSAGE_ANSWER] = mpi_message_answer, [MPI_MESSAGE_WAKE] = ignore,
    };
    struct mpi_message_head head;
    uint32_t from, body_bytes;

    if (!mpi_net_receive(&from, &head, sizeof(head), &body_bytes))
        return false;
    mpi_message_counts.received++;
    if (head.kind <= MPI_MESSAGE_WAKE)
        kinds[head.kind](from, &head, body_bytes);
    else
        other(from, &head, body_bytes);
    return true;
}

void
mpi_task_add(struct mpi_task *task)
{
    task->next = NULL;
    task->link = tasks_end;
    *tasks_end = task;
    tasks_end = &task->next;
    mpi_progress_wake();
}

/* Each once, and in no list while it runs: it may add others, and is gone when it is over. */
static void
run_tasks(void)
{
    struct mpi_task *todo = tasks;

    tasks = NULL;
    tasks_end = &tasks;
    while (todo != NULL) {
        struct mpi_task *task = todo;

        todo = task->next;
        if (task->run(task)) {
            task->next = NULL;
            task->link = tasks_end;
            *tasks_end = task;
            tasks_end = &task->next;
        } else {
            completed++;
        }
    }
}

/* A round. True: something happened. */
static bool
drive(const bool *is_done)
{
    uint64_t before = completed;
    bool happened;

    is_driven = true;
    happened = mpi_outbox_flush();
    for (uint32_t i = 0; i < ROUND_MESSAGES && take_one(); i++) {
        happened = true;
        if ((is_done != NULL && *is_done) || (tasks != NULL && completed != before))
            break; /* a task may be what it is waited for */
    }
    if (tasks != NULL)
        run_tasks();
    is_driven = false;
    happened = happened || completed != before;
    if (happened || is_awaited)
        wake_sleepers();
    return happened;
}

bool
mpi_progress(void)
{
    return !is_driven && drive(NULL);
}

void
mpi_pause(const bool *is_done, const char *what)
{
    bool is_multiple = mpi_thread_level() == MPI_THREAD_MULTIPLE;

    if (is_driven && !is_multiple)
        mpi_net_abort(MPI_ERR_INTERN, "a wait within progress");
    if (is_driven) {
        is_awaited = true;
        sleep_a_while();
        return;
    }
    if (drive(is_done) || (is_done != NULL && *is_done))
        return;
    if (is_multiple && mpi_members() == 1) /* all news are of other threads */
        sleep_a_while();
    else
        wait_in_net(what);
}

void
mpi_await(const bool *is_done, const char *what)
{
    while (!*is_done)
        mpi_pause(is_done, what);
}

void
mpi_message_handle(uint32_t kind, mpi_message_fn handle)
{
    others[kind - MPI_MESSAGE_OTHER] = handle;
}

/* ----------------------------------------------------------------- beginning and end */

void
mpi_messages_init(void)
{
    mpi_outbox_init();
    mpi_match_init();
}

/* Also what a buffered send, or one that was freed, still has to bring to its receiver. */
void
mpi_messages_fini(void)
{
    while (!mpi_outbox_is_empty() || mpi_orphan_sends > 0)
        mpi_pause(NULL, "MPI_Finalize");
    mpi_outbox_fini();
    mpi_match_fini();
    mpi_arrivals_fini();
    mpi_buffered_fini();
    mpi_transfers_fini();
}
