/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "message_internal.h"
#include "testing.h"

static int rank, size;

#define OK(call) CHECK((call) == MPI_SUCCESS)

static void
begin(int level)
{
    int provided;

    OK(MPI_Init_thread(NULL, NULL, level, &provided));
    CHECK(provided == level);
    OK(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    OK(MPI_Comm_size(MPI_COMM_WORLD, &size));
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
}

static void
run_with(uint32_t members, void (*body)(void))
{
    assert_true(mpi_testing_run(members, body));
}

/* ------------------------------------------------------------------------------ soak
 *
 * All members know what everybody sends in a round (the same seed). Receives of one member on one
 * communicator are kept in the order in which they were posted, so that every pair of them tells
 * whether messages overtook one another.
 */

#define ROUNDS       60
#define ROUND_MAX    160 /* messages of a round, of all */
#define BYTES_MAX    70000
#define COMMS        4
#define BUFFER_BYTES (4 << 20)

/* How receives on a communicator ask: */
enum {
    ASK_TAGS,  /* for source and tag, or (odd tags) for any source and the tag */
    ASK_RANKS, /* for the source and any tag */
    ASK_ANY,
    ASK_MIXED, /* for source and tag, and after these for any */
};

struct plan {
    int from, to, tag, bytes, comm;
    unsigned mode;
    bool is_strided[2]; /* where it is sent, and received */
    int number;         /* among those of the round: the order of sends of one member */
};

struct want {
    const struct plan *plan; /* whose source and tag it asks for */
    int source, tag;
    bool is_strided;
    unsigned char *buffer;
    int got; /* number */
    MPI_Request request;
};

static struct plan plans[ROUND_MAX];
static struct want wants[ROUND_MAX];
static MPI_Comm comms[COMMS];
static int plan_count, want_count;
static uint64_t seed;

static unsigned
dice(unsigned sides)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % sides;
}

static void
make_plans(void)
{
    static const int sizes[] = {4,    5,    8,    63,   64,   65,   255,  256,   257,
                                1000, 1023, 1024, 1025, 1026, 4096, 4097, 20000, BYTES_MAX};

    plan_count = 20 + (int)dice(ROUND_MAX - 20);
    for (int i = 0; i < plan_count; i++)
        plans[i] = (struct plan){.from = (int)dice((unsigned)size),
                                 .to = (int)dice((unsigned)size),
                                 .tag = (int)dice(5),
                                 .bytes = sizes[dice(sizeof(sizes) / sizeof(sizes[0]))],
                                 .comm = (int)dice(COMMS),
                                 .mode = dice(7),
                                 .is_strided = {dice(4) == 0, dice(4) == 0},
                                 .number = i};
}

static unsigned char
byte_of(int number, int at)
{
    return (unsigned char)(number * 31 + at * 7);
}

/* Every other byte of twice as many, or as they are. */
static MPI_Datatype
type_of(int bytes, bool is_strided)
{
    MPI_Datatype type;

    OK(is_strided ? MPI_Type_vector(bytes, 1, 2, MPI_BYTE, &type)
                  : MPI_Type_contiguous(bytes, MPI_BYTE, &type));
    OK(MPI_Type_commit(&type));
    return type;
}

/* The first four bytes are its number. */
static unsigned char *
body_of(const struct plan *plan)
{
    int step = plan->is_strided[0] ? 2 : 1;
    unsigned char *body = calloc((size_t)plan->bytes, 2);

    CHECK(body != NULL);
    for (int at = 0; at < plan->bytes; at++)
        body[at * step] =
            at < 4 ? (unsigned char)(plan->number >> 8 * at) : byte_of(plan->number, at);
    return body;
}

static const struct plan *
check_body(const unsigned char *body, bool is_strided, const MPI_Status *status)
{
    int step = is_strided ? 2 : 1, number = 0, count;
    const struct plan *plan;

    for (int at = 0; at < 4; at++)
        number |= body[at * step] << 8 * at;
    CHECK(number >= 0 && number < plan_count);
    plan = &plans[number];
    OK(MPI_Get_count(status, MPI_BYTE, &count));
    CHECK(plan->to == rank && plan->from == status->MPI_SOURCE && plan->tag == status->MPI_TAG);
    CHECK(count == plan->bytes);
    for (int at = 4; at < count; at++)
        CHECK(body[at * step] == byte_of(number, at));
    for (int at = 0; is_strided && at < BYTES_MAX; at++)
        CHECK(body[2 * at + 1] == 0);
    return plan;
}

static void
post(const struct plan *plan, int source, int tag)
{
    struct want *want = &wants[want_count++];
    MPI_Datatype type = type_of(BYTES_MAX, plan->is_strided[1]);

    *want = (struct want){
        .plan = plan, .source = source, .tag = tag, .is_strided = plan->is_strided[1]};
    want->buffer = calloc(BYTES_MAX, 2);
    OK(MPI_Irecv(want->buffer, 1, type, source, tag, comms[plan->comm], &want->request));
    OK(MPI_Type_free(&type));
}

static void
post_all(int comm)
{
    for (int i = 0; i < plan_count; i++) {
        const struct plan *plan = &plans[i];

        if (plan->to != rank || plan->comm != comm)
            continue;
        if (comm == ASK_TAGS)
            post(plan, plan->tag % 2 != 0 ? MPI_ANY_SOURCE : plan->from, plan->tag);
        else if (comm == ASK_RANKS)
            post(plan, plan->from, MPI_ANY_TAG);
        else if (comm == ASK_ANY)
            post(plan, MPI_ANY_SOURCE, MPI_ANY_TAG);
        else if (i % 2 == 0)
            post(plan, plan->from, plan->tag);
    }
    for (int i = 1; i < plan_count && comm == ASK_MIXED; i += 2)
        if (plans[i].to == rank && plans[i].comm == comm)
            post(&plans[i], MPI_ANY_SOURCE, MPI_ANY_TAG);
}

static MPI_Request
send_in_mode(const struct plan *plan, const void *body, MPI_Datatype type)
{
    MPI_Comm comm = comms[plan->comm];
    MPI_Request request = MPI_REQUEST_NULL;
    int to = plan->to, tag = plan->tag;

    if (plan->mode == 0)
        OK(MPI_Send(body, 1, type, to, tag, comm));
    else if (plan->mode == 1)
        OK(MPI_Ssend(body, 1, type, to, tag, comm));
    else if (plan->mode == 2)
        OK(MPI_Bsend(body, 1, type, to, tag, comm));
    else if (plan->mode == 3)
        OK(MPI_Issend(body, 1, type, to, tag, comm, &request));
    else if (plan->mode == 4)
        OK(MPI_Ibsend(body, 1, type, to, tag, comm, &request));
    else if (plan->mode == 5)
        OK(MPI_Send_init(body, 1, type, to, tag, comm, &request));
    else
        OK(MPI_Isend(body, 1, type, to, tag, comm, &request));
    if (plan->mode == 5)
        OK(MPI_Start(&request));
    return request;
}

static int
send_all(MPI_Request *requests, void **bodies)
{
    int count = 0;

    for (int i = 0; i < plan_count; i++) {
        MPI_Datatype type;

        if (plans[i].from != rank)
            continue;
        type = type_of(plans[i].bytes, plans[i].is_strided[0]);
        bodies[count] = body_of(&plans[i]);
        requests[count] = send_in_mode(&plans[i], bodies[count], type);
        OK(MPI_Type_free(&type));
        count++;
    }
    return count;
}

/* The receives, in one of several ways. */
static void
wait_for_wants(unsigned way)
{
    MPI_Request requests[ROUND_MAX];
    MPI_Status statuses[ROUND_MAX], some[ROUND_MAX];
    int indices[ROUND_MAX], done = 0, count, flag = 0;

    for (int i = 0; i < want_count; i++)
        requests[i] = wants[i].request;
    while (way == 0 && done < want_count) {
        OK(MPI_Waitany(want_count, requests, &indices[0], &some[0]));
        statuses[indices[0]] = some[0];
        done++;
    }
    while (way == 1 && done < want_count) {
        OK(MPI_Waitsome(want_count, requests, &count, indices, some));
        for (int i = 0; i < count; i++)
            statuses[indices[i]] = some[i];
        done += count;
    }
    while (way == 2 && !flag)
        OK(MPI_Testall(want_count, requests, &flag, statuses));
    if (way == 3)
        OK(MPI_Waitall(want_count, requests, statuses));
    for (int i = 0; i < want_count; i++) {
        wants[i].got = check_body(wants[i].buffer, wants[i].is_strided, &statuses[i])->number;
        free(wants[i].buffer);
    }
}

static bool
is_for(const struct want *want, const struct plan *plan)
{
    return (want->source == plan->from || want->source == MPI_ANY_SOURCE) &&
           (want->tag == plan->tag || want->tag == MPI_ANY_TAG);
}

static void
check_that_none_overtook(void)
{
    for (int later = 0; later < want_count; later++)
        for (int i = 0; i < later; i++) {
            const struct plan *one = &plans[wants[i].got], *two = &plans[wants[later].got];

            if (one->comm == two->comm && one->from == two->from && two->number < one->number)
                CHECK(!is_for(&wants[i], two));
            CHECK(one != two);
        }
}

static void
end_sends(int count, MPI_Request *requests, void **bodies)
{
    OK(MPI_Waitall(count, requests, MPI_STATUSES_IGNORE));
    for (int i = 0; i < count; i++) {
        if (requests[i] != MPI_REQUEST_NULL)
            OK(MPI_Request_free(&requests[i]));
        free(bodies[i]);
    }
}

static void
soak(void)
{
    void *buffer = malloc(BUFFER_BYTES), *bodies[ROUND_MAX];
    MPI_Request requests[ROUND_MAX];
    int bytes;

    begin(MPI_THREAD_SINGLE);
    OK(MPI_Buffer_attach(buffer, BUFFER_BYTES));
    for (int i = 0; i < COMMS; i++)
        OK(MPI_Comm_dup(MPI_COMM_WORLD, &comms[i]));
    for (int round = 0; round < ROUNDS; round++) {
        int count;

        make_plans();
        want_count = 0;
        for (int comm = 0; comm < COMMS; comm++)
            post_all(comm);
        count = send_all(requests, bodies);
        wait_for_wants((unsigned)round % 4);
        check_that_none_overtook();
        end_sends(count, requests, bodies);
        OK(MPI_Barrier(MPI_COMM_WORLD)); /* or wildcards take what is of the next round */
        OK(MPI_Buffer_detach(&buffer, &bytes));
        OK(MPI_Buffer_attach(buffer, bytes));
    }
    for (int i = 0; i < COMMS; i++)
        OK(MPI_Comm_free(&comms[i]));
    OK(MPI_Finalize());
    free(buffer);
}

static void
test_what_is_posted_gets_what_is_sent_in_order(void **state)
{
    static const uint32_t members[] = {1, 2, 3, 7};

    (void)state;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        seed = 20260 + i;
        print_message("seed %u\n", (unsigned)seed);
        run_with(members[i], soak);
    }
}

/* Receives whatever is there, found by a probe of one of three kinds. */
static void
probe_and_receive(int kind, unsigned char *buffer, MPI_Status *status)
{
    MPI_Message message;
    int flag = 0;

    while (kind == 0 && !flag)
        OK(MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &message, status));
    if (kind == 1)
        OK(MPI_Mprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &message, status));
    if (kind != 2) {
        OK(MPI_Mrecv(buffer, BYTES_MAX, MPI_BYTE, &message, status));
        return;
    }
    OK(MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, status));
    OK(MPI_Recv(buffer, BYTES_MAX, MPI_BYTE, status->MPI_SOURCE, status->MPI_TAG, MPI_COMM_WORLD,
                status));
}

static void
probe_for_mine(void)
{
    static int last[8][5]; /* number, by source and tag */
    int seen = 0;

    (void)memset(last, -1, sizeof(last));
    for (int i = 0; i < plan_count; i++) {
        unsigned char *buffer;
        const struct plan *plan;
        MPI_Status status;

        if (plans[i].to != rank)
            continue;
        buffer = calloc(BYTES_MAX, 2);
        probe_and_receive(seen++ % 3, buffer, &status);
        plan = check_body(buffer, false, &status);
        CHECK(last[plan->from][plan->tag] < plan->number);
        last[plan->from][plan->tag] = plan->number;
        free(buffer);
    }
}

static void
probe_all(void)
{
    void *bodies[ROUND_MAX];
    MPI_Request requests[ROUND_MAX];

    begin(MPI_THREAD_SINGLE);
    comms[0] = MPI_COMM_WORLD;
    for (int round = 0; round < ROUNDS; round++) {
        int count;

        make_plans();
        for (int i = 0; i < plan_count; i++) {
            plans[i].comm = 0;
            plans[i].mode = plans[i].mode % 2 == 0 ? 3 : 6;
        }
        count = send_all(requests, bodies);
        probe_for_mine();
        end_sends(count, requests, bodies);
        OK(MPI_Barrier(MPI_COMM_WORLD));
    }
    OK(MPI_Finalize());
}

static void
test_probes_find_what_nobody_has_received(void **state)
{
    (void)state;
    seed = 4711;
    run_with(1, probe_all);
    run_with(3, probe_all);
}

/* -------------------------------------------------------------------------- matching */

#define MANY 30000

/* Each with a tag of its own, received from the last to the first: a list would take minutes. */
static void
receive_backwards(void)
{
    int value, other;
    MPI_Status status;
    double begun;

    begin(MPI_THREAD_SINGLE);
    other = size - 1 - rank;
    for (int i = 0; i < MANY && rank == 0; i++)
        OK(MPI_Send(&i, 1, MPI_INT, other, i, MPI_COMM_WORLD));
    OK(MPI_Send(&rank, 1, MPI_INT, other, MANY, MPI_COMM_WORLD));
    if (rank == size - 1) {
        OK(MPI_Recv(&value, 1, MPI_INT, other, MANY, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        begun = mpi_net_time();
        for (int i = MANY; i-- > MANY / 2;) {
            OK(MPI_Recv(&value, 1, MPI_INT, other, i, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
            CHECK(value == i);
        }
        for (int i = 0; i < MANY / 2; i++) { /* now with wildcards of each kind */
            OK(MPI_Recv(&value, 1, MPI_INT, i % 3 == 0 ? other : MPI_ANY_SOURCE,
                        i % 3 == 1 ? i : MPI_ANY_TAG, MPI_COMM_WORLD, &status));
            CHECK(value == i && status.MPI_TAG == i);
        }
        CHECK(mpi_net_time() - begun < 5);
    }
    OK(MPI_Finalize());
}

static void
test_many_messages_that_wait_do_not_slow_down_a_receive(void **state)
{
    (void)state;
    run_with(1, receive_backwards);
    run_with(2, receive_backwards);
}

static void
post_many(void)
{
    static int values[MANY];
    static MPI_Request requests[MANY];
    int next, last;
    double begun;

    begin(MPI_THREAD_SINGLE);
    next = (rank + 1) % size;
    last = (rank + size - 1) % size;
    begun = mpi_net_time();
    for (int i = 0; i < MANY; i++)
        OK(MPI_Irecv(&values[i], 1, MPI_INT, i % 2 == 0 ? last : MPI_ANY_SOURCE, i, MPI_COMM_WORLD,
                     &requests[i]));
    for (int i = MANY; i-- > 0;)
        OK(MPI_Send(&i, 1, MPI_INT, next, i, MPI_COMM_WORLD));
    OK(MPI_Waitall(MANY, requests, MPI_STATUSES_IGNORE));
    for (int i = 0; i < MANY; i++)
        CHECK(values[i] == i);
    CHECK(mpi_net_time() - begun < 10);
    OK(MPI_Finalize());
}

static void
test_many_receives_that_wait_do_not_slow_down_a_message(void **state)
{
    (void)state;
    run_with(2, post_many);
}

/* -------------------------------------------------------------------------- buffered */

static void
fill_buffer(void)
{
    enum { BYTES = 3000, COUNT = 4 };
    int room = COUNT * (BYTES + MPI_BSEND_OVERHEAD), bytes;
    char *buffer = malloc((size_t)room + 1), *odd = buffer + 1, body[BYTES], in[BYTES];
    void *back;

    begin(MPI_THREAD_SINGLE);
    CHECK(MPI_Bsend(body, 1, MPI_CHAR, 0, 0, MPI_COMM_WORLD) == MPI_ERR_BUFFER);
    OK(MPI_Buffer_attach(odd, room));
    CHECK(MPI_Buffer_attach(odd, room) == MPI_ERR_BUFFER);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            (void)memset(body, 10 * rank + i, BYTES);
            OK(MPI_Bsend(body, BYTES, MPI_CHAR, rank, i, MPI_COMM_WORLD));
        }
        CHECK(MPI_Bsend(body, BYTES, MPI_CHAR, rank, COUNT, MPI_COMM_WORLD) == MPI_ERR_BUFFER);
        for (int i = COUNT; i-- > 0;) { /* gaps, from the end to the front */
            OK(MPI_Recv(in, BYTES, MPI_CHAR, rank, i, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
            CHECK(in[0] == 10 * rank + i && in[BYTES - 1] == in[0]);
        }
    }
    OK(MPI_Bsend(body, BYTES, MPI_CHAR, (rank + 1) % size, 7, MPI_COMM_WORLD));
    OK(MPI_Recv(in, BYTES, MPI_CHAR, MPI_ANY_SOURCE, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
    OK(MPI_Buffer_detach(&back, &bytes));
    CHECK(back == odd && bytes == room);
    OK(MPI_Buffer_detach(&back, &bytes));
    CHECK(back == NULL && bytes == 0);
    OK(MPI_Finalize());
    free(buffer);
}

static void
test_buffered_sends_have_the_room_that_was_attached(void **state)
{
    (void)state;
    run_with(1, fill_buffer);
    run_with(3, fill_buffer);
}

/* Nobody waits for these but MPI_Finalize. */
static void
leave_early(void)
{
    static int out[5000], in[5000];
    static char buffer[3 * (sizeof(out) + MPI_BSEND_OVERHEAD)];
    MPI_Request request;
    int next, last;

    begin(MPI_THREAD_SINGLE);
    next = (rank + 1) % size;
    last = (rank + size - 1) % size;
    OK(MPI_Buffer_attach(buffer, sizeof(buffer)));
    out[4999] = rank;
    OK(MPI_Bsend(out, 5000, MPI_INT, next, 0, MPI_COMM_WORLD));
    OK(MPI_Isend(out, 5000, MPI_INT, next, 1, MPI_COMM_WORLD, &request));
    OK(MPI_Request_free(&request));
    for (int i = 0; i < 2; i++) {
        OK(MPI_Recv(in, 5000, MPI_INT, last, i, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        CHECK(in[4999] == last);
    }
    OK(MPI_Finalize());
}

static void
test_finalize_waits_for_sends_that_nobody_waits_for(void **state)
{
    (void)state;
    run_with(2, leave_early);
}

/* ------------------------------------------------------------------------- cancelling */

static void
cancel_one(int bytes, unsigned mode, bool is_received)
{
    struct plan plan = {
        .from = rank, .to = (rank + 1) % size, .tag = 3, .bytes = bytes, .mode = mode, .number = 1};
    int last = (rank + size - 1) % size, flag, is_there;
    MPI_Datatype type = type_of(bytes, false);
    unsigned char *body = body_of(&plan), *in = malloc((size_t)bytes);
    MPI_Request request = send_in_mode(&plan, body, type);
    MPI_Status status;

    if (is_received) {
        OK(MPI_Recv(in, bytes, MPI_BYTE, last, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        OK(MPI_Barrier(MPI_COMM_WORLD));
    }
    OK(MPI_Cancel(&request));
    OK(MPI_Wait(&request, &status));
    OK(MPI_Test_cancelled(&status, &flag));
    CHECK(flag == !is_received);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &is_there, &status));
    CHECK(!is_there);
    if (mode == 5)
        OK(MPI_Request_free(&request));
    OK(MPI_Type_free(&type));
    OK(MPI_Barrier(MPI_COMM_WORLD));
    free(body);
    free(in);
}

static void
cancel_all(void)
{
    static char buffer[100000];
    static const int sizes[] = {4, 1024, 1025, 50000};

    begin(MPI_THREAD_SINGLE);
    comms[0] = MPI_COMM_WORLD;
    OK(MPI_Buffer_attach(buffer, sizeof(buffer)));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (unsigned mode = 3; mode <= 6; mode++) {
            cancel_one(sizes[i], mode, false);
            cancel_one(sizes[i], mode, true);
        }
    OK(MPI_Finalize());
}

static void
test_a_send_is_cancelled_or_received(void **state)
{
    (void)state;
    run_with(1, cancel_all);
    run_with(2, cancel_all);
    run_with(3, cancel_all);
}

/* More than there is room for: some go back from the outbox, some from the receiver. */
static void
cancel_a_crowd(void)
{
    enum { COUNT = 200 };
    static char body[1000];
    MPI_Request requests[COUNT];
    MPI_Status status;
    int flag, left = 0;

    begin(MPI_THREAD_SINGLE);
    if (rank == 0) {
        for (int i = 0; i < COUNT; i++)
            OK(MPI_Isend(body, 1000, MPI_CHAR, 1, i, MPI_COMM_WORLD, &requests[i]));
        for (int i = COUNT; i-- > 0;)
            OK(MPI_Cancel(&requests[i]));
        for (int i = 0; i < COUNT; i++) {
            OK(MPI_Wait(&requests[i], &status));
            OK(MPI_Test_cancelled(&status, &flag));
            left += !flag;
        }
    }
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &status));
    CHECK(left == 0 && !flag);
    OK(MPI_Finalize());
}

static void
test_what_waits_for_room_is_cancelled_too(void **state)
{
    (void)state;
    run_with(2, cancel_a_crowd);
}

/* ------------------------------------------------------------ what other parts build on */

#define SAID 500
static uint32_t heard;
static int steps;

static void
hear(uint32_t from, const void *body, uint32_t bytes)
{
    uint32_t number;

    (void)memcpy(&number, body, sizeof(number));
    CHECK(from == ((uint32_t)rank + 1) % (uint32_t)size && bytes == 4 + number && number == heard);
    heard++;
}

static bool
step(struct mpi_task *task)
{
    (void)task;
    return ++steps < 3;
}

static void
say_and_run(void)
{
    static unsigned char body[MPI_MESSAGE_OTHER_BYTES];
    struct mpi_task tasks[2] = {{.run = step}, {.run = step}};

    begin(MPI_THREAD_SINGLE);
    mpi_message_handle(MPI_MESSAGE_OTHER + 7, hear);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    for (uint32_t i = 0; i < SAID; i++) {
        (void)memcpy(body, &i, sizeof(i));
        OK(mpi_message_say((uint32_t)((rank + size - 1) % size), MPI_MESSAGE_OTHER + 7, body,
                           4 + i));
    }
    while (heard < SAID)
        mpi_pause(NULL, "test");
    mpi_task_add(&tasks[0]);
    mpi_task_add(&tasks[1]);
    while (steps < 4)
        (void)mpi_progress();
    (void)mpi_progress();
    CHECK(steps == 4); /* two and two */
    OK(MPI_Finalize());
}

static void
test_messages_of_other_parts_come_in_order(void **state)
{
    (void)state;
    run_with(2, say_and_run);
}

/* While some wait for room there is some again, and the next one may not go before them. */
static void
send_after_a_queue(void)
{
    enum { COUNT = 60, INTS = 200, SAID_LATE = 400 };
    static int out[COUNT][INTS], in[INTS];
    static unsigned char body[800];
    MPI_Request requests[COUNT];

    begin(MPI_THREAD_SINGLE);
    mpi_message_handle(MPI_MESSAGE_OTHER + 7, hear);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    for (int i = 0; i < COUNT && rank == 0; i++) {
        out[i][0] = i;
        if (i < COUNT - 1)
            OK(MPI_Isend(out[i], INTS, MPI_INT, 1, 0, MPI_COMM_WORLD, &requests[i]));
        if (i == COUNT - 2)
            (void)usleep(100000);
    }
    if (rank == 0) {
        OK(MPI_Send(out[COUNT - 1], INTS, MPI_INT, 1, 0, MPI_COMM_WORLD));
        OK(MPI_Waitall(COUNT - 1, requests, MPI_STATUSES_IGNORE));
    }
    for (int i = 0; i < COUNT && rank == 1; i++) {
        OK(MPI_Recv(in, INTS, MPI_INT, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        CHECK(in[0] == i);
    }
    for (uint32_t i = 0; i < SAID_LATE && rank == 0; i++) {
        (void)memcpy(body, &i, sizeof(i));
        if (i == SAID_LATE - 1)
            (void)usleep(100000);
        OK(mpi_message_say(1, MPI_MESSAGE_OTHER + 7, body, 4 + i));
    }
    while (rank == 1 && heard < SAID_LATE)
        mpi_pause(NULL, "test");
    OK(MPI_Finalize());
}

static void
test_nothing_goes_before_what_waits_for_room(void **state)
{
    (void)state;
    run_with(2, send_after_a_queue);
}

/* ----------------------------------------------------------------------------- misuse */

static void
look_at_many(void)
{
    int values[3] = {0}, one = 1, flag, index, count, indices[3];
    MPI_Request requests[3];
    MPI_Status statuses[3], status;

    begin(MPI_THREAD_SINGLE);
    for (int i = 0; i < 3; i++)
        OK(MPI_Irecv(&values[i], 1, MPI_INT, rank, i, MPI_COMM_WORLD, &requests[i]));
    OK(MPI_Request_get_status_any(3, requests, &index, &flag, &status));
    CHECK(!flag && index == MPI_UNDEFINED);
    OK(MPI_Send(&one, 1, MPI_INT, rank, 1, MPI_COMM_WORLD));
    OK(MPI_Request_get_status_any(3, requests, &index, &flag, &status));
    CHECK(flag && index == 1 && status.MPI_TAG == 1);
    OK(MPI_Request_get_status_some(3, requests, &count, indices, statuses));
    CHECK(count == 1 && indices[0] == 1 && statuses[0].MPI_SOURCE == rank);
    OK(MPI_Request_get_status_all(3, requests, &flag, statuses));
    CHECK(!flag);
    OK(MPI_Send(&one, 1, MPI_INT, rank, 0, MPI_COMM_WORLD));
    OK(MPI_Send(&one, 1, MPI_INT, rank, 2, MPI_COMM_WORLD));
    OK(MPI_Request_get_status_all(3, requests, &flag, statuses));
    CHECK(flag && statuses[2].MPI_TAG == 2);
    OK(MPI_Waitall(3, requests, statuses)); /* they are still there */
    OK(MPI_Request_get_status_some(3, requests, &count, indices, statuses));
    CHECK(count == MPI_UNDEFINED);
    CHECK(MPI_Request_get_status_all(-1, requests, &flag, statuses) == MPI_ERR_ARG);
    CHECK(MPI_Isend(&one, 1, MPI_INT, rank, 0, MPI_COMM_WORLD, NULL) == MPI_ERR_ARG);
    CHECK(MPI_Wait(NULL, &status) == MPI_ERR_ARG);
    OK(MPI_Finalize());
}

static void
test_requests_are_looked_at_without_an_end(void **state)
{
    (void)state;
    run_with(1, look_at_many);
}

/* An error in a status leaves those of the others right; without one MPI_ERROR is not touched. */
static void
fail_in_status(void)
{
    int in[3], out[2] = {1, 2}, count, indices[3];
    MPI_Request requests[3];
    MPI_Status statuses[3];

    begin(MPI_THREAD_SINGLE);
    for (int way = 0; way < 2; way++) {
        for (int i = 0; i < 3; i++) {
            statuses[i].MPI_ERROR = 77;
            OK(MPI_Irecv(&in[i], 1, MPI_INT, rank, i, MPI_COMM_WORLD, &requests[i]));
            OK(MPI_Send(out, i == 1 ? 2 : 1, MPI_INT, rank, i, MPI_COMM_WORLD));
        }
        if (way == 0)
            CHECK(MPI_Waitall(3, requests, statuses) == MPI_ERR_IN_STATUS);
        else
            CHECK(MPI_Waitsome(3, requests, &count, indices, statuses) == MPI_ERR_IN_STATUS);
        for (int i = 0; i < 3; i++) {
            CHECK(statuses[i].MPI_ERROR == (i == 1 ? MPI_ERR_TRUNCATE : MPI_SUCCESS));
            CHECK(statuses[i].MPI_TAG == i && requests[i] == MPI_REQUEST_NULL);
        }
    }
    statuses[0].MPI_ERROR = 77;
    OK(MPI_Irecv(in, 1, MPI_INT, rank, 0, MPI_COMM_WORLD, &requests[0]));
    OK(MPI_Send(out, 1, MPI_INT, rank, 0, MPI_COMM_WORLD));
    OK(MPI_Waitall(1, requests, statuses));
    CHECK(statuses[0].MPI_ERROR == 77);
    OK(MPI_Finalize());
}

static void
test_an_error_of_one_of_many_is_in_its_status(void **state)
{
    (void)state;
    run_with(1, fail_in_status);
}

/* Three bytes are no integer and no half of one. */
static void
receive_torn(void)
{
    char out[3] = {1, 2, 3};
    int in[8], next, last;
    MPI_Datatype type;
    MPI_Request request;

    begin(MPI_THREAD_SINGLE);
    next = (rank + 1) % size;
    last = (rank + size - 1) % size;
    OK(MPI_Type_vector(2, 1, 2, MPI_INT, &type));
    OK(MPI_Type_commit(&type));
    OK(MPI_Isend(out, 3, MPI_CHAR, next, 0, MPI_COMM_WORLD, &request));
    CHECK(MPI_Recv(in, 1, type, last, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE) == MPI_ERR_TYPE);
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Type_free(&type));
    OK(MPI_Finalize());
}

static void
test_a_message_that_ends_within_an_element_is_of_another_type(void **state)
{
    (void)state;
    run_with(1, receive_torn);
    run_with(2, receive_torn);
}

static void
wait_in_task_body(void)
{
    bool never = false;

    mpi_await(&never, "test");
}

static bool
wait_in_task(struct mpi_task *task)
{
    (void)task;
    wait_in_task_body();
    return false;
}

static void
wait_within_progress(void)
{
    struct mpi_task task = {.run = wait_in_task};

    begin(MPI_THREAD_SINGLE);
    mpi_task_add(&task);
    (void)mpi_progress();
}

static void
test_a_wait_within_progress_ends_the_world(void **state)
{
    (void)state;
    assert_false(mpi_testing_run(1, wait_within_progress));
    assert_int_equal(mpi_testing_abort_code(), MPI_ERR_INTERN);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_posted_gets_what_is_sent_in_order),
        cmocka_unit_test(test_probes_find_what_nobody_has_received),
        cmocka_unit_test(test_many_messages_that_wait_do_not_slow_down_a_receive),
        cmocka_unit_test(test_many_receives_that_wait_do_not_slow_down_a_message),
        cmocka_unit_test(test_buffered_sends_have_the_room_that_was_attached),
        cmocka_unit_test(test_finalize_waits_for_sends_that_nobody_waits_for),
        cmocka_unit_test(test_a_send_is_cancelled_or_received),
        cmocka_unit_test(test_what_waits_for_room_is_cancelled_too),
        cmocka_unit_test(test_messages_of_other_parts_come_in_order),
        cmocka_unit_test(test_nothing_goes_before_what_waits_for_room),
        cmocka_unit_test(test_requests_are_looked_at_without_an_end),
        cmocka_unit_test(test_an_error_of_one_of_many_is_in_its_status),
        cmocka_unit_test(test_a_message_that_ends_within_an_element_is_of_another_type),
        cmocka_unit_test(test_a_wait_within_progress_ends_the_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
