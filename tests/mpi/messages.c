/* SPDX-License-Identifier: Apache-2.0
 *
 * Point to point (MPI 3.1, chapter 3): modes, matching, requests, probes; generalized requests
 * (12.2).
 */
#include "check.h"

#define LARGE 200000

static int next, last;

/* ------------------------------------------------------------------------- all modes */

typedef int (*send_fn)(const void *, int, MPI_Datatype, int, int, MPI_Comm);
typedef int (*begin_fn)(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);

/* A ring of ints; ranks receive first or last, so that no order of functions is needed. */
static void
around(send_fn send, int count)
{
    int *out = malloc((count + 1) * sizeof(int)), *in = calloc(count + 1, sizeof(int)), got;
    MPI_Request request;
    MPI_Status status;

    for (int i = 0; i < count; i++)
        out[i] = rank * 7 + i;
    OK(MPI_Irecv(in, count, MPI_INT, last, 11, MPI_COMM_WORLD, &request));
    OK(MPI_Barrier(MPI_COMM_WORLD)); /* it is posted, as MPI_Rsend wants it */
    OK(send(out, count, MPI_INT, next, 11, MPI_COMM_WORLD));
    OK(MPI_Wait(&request, &status));
    CHECK(request == MPI_REQUEST_NULL && status.MPI_SOURCE == last && status.MPI_TAG == 11);
    OK(MPI_Get_count(&status, MPI_INT, &got));
    CHECK(got == count);
    for (int i = 0; i < count; i++)
        CHECK(in[i] == last * 7 + i);
    free(out);
    free(in);
}

static void
around_later(begin_fn begin_send, int count)
{
    int *out = malloc((count + 1) * sizeof(int)), *in = calloc(count + 1, sizeof(int)), is_over = 0;
    MPI_Request requests[2];

    for (int i = 0; i < count; i++)
        out[i] = rank * 3 + i;
    OK(MPI_Irecv(in, count, MPI_INT, last, 12, MPI_COMM_WORLD, &requests[0]));
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(begin_send(out, count, MPI_INT, next, 12, MPI_COMM_WORLD, &requests[1]));
    while (!is_over)
        OK(MPI_Testall(2, requests, &is_over, MPI_STATUSES_IGNORE));
    for (int i = 0; i < count; i++)
        CHECK(in[i] == last * 3 + i);
    free(out);
    free(in);
}

static void
check_modes(void)
{
    static const int counts[] = {0, 1, 100, 1000, LARGE};
    const send_fn sends[] = {MPI_Send, MPI_Ssend, MPI_Rsend, MPI_Bsend};
    const begin_fn begins[] = {MPI_Isend, MPI_Issend, MPI_Irsend, MPI_Ibsend};
    int bytes = 2 * (LARGE * (int)sizeof(int) + MPI_BSEND_OVERHEAD), number;
    void *buffer = malloc(bytes), *back;

    OK(MPI_Buffer_attach(buffer, bytes));
    REFUSED(MPI_Buffer_attach(buffer, bytes), MPI_ERR_BUFFER);
    for (size_t mode = 0; mode < 4; mode++)
        for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
            around(sends[mode], counts[i]);
            around_later(begins[mode], counts[i]);
        }
    OK(MPI_Buffer_detach(&back, &number));
    CHECK(back == buffer && number == bytes);
    free(buffer);
    REFUSED(MPI_Bsend(&number, 1, MPI_INT, next, 0, MPI_COMM_WORLD), MPI_ERR_BUFFER);
    REFUSED(MPI_Ibsend(&number, 1, MPI_INT, next, 0, MPI_COMM_WORLD, &(MPI_Request){0}),
            MPI_ERR_BUFFER);
}

/* -------------------------------------------------------------------------- matching */

/* Tags choose, and among those that match the first one is taken. */
static void
check_order(void)
{
    int values[6] = {0, 1, 2, 3, 4, 5}, got;
    MPI_Request requests[6];
    MPI_Status status;

    for (int i = 0; i < 6; i++)
        OK(MPI_Isend(&values[i], 1, MPI_INT, next, i % 2, MPI_COMM_WORLD, &requests[i]));
    for (int i = 0; i < 3; i++) {
        OK(MPI_Recv(&got, 1, MPI_INT, last, 1, MPI_COMM_WORLD, &status));
        CHECK(got == 2 * i + 1);
    }
    for (int i = 0; i < 3; i++) {
        OK(MPI_Recv(&got, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status));
        CHECK(got == 2 * i && status.MPI_TAG == 0 && status.MPI_SOURCE == last);
    }
    OK(MPI_Waitall(6, requests, MPI_STATUSES_IGNORE));
    OK(MPI_Barrier(MPI_COMM_WORLD));
}

static void
check_everyone(void)
{
    int got, seen = 0;
    MPI_Status status;
    MPI_Request request;

    OK(MPI_Isend(&rank, 1, MPI_INT, 0, 100 + rank, MPI_COMM_WORLD, &request));
    for (int i = 0; rank == 0 && i < size; i++) {
        OK(MPI_Recv(&got, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status));
        CHECK(status.MPI_SOURCE == got && status.MPI_TAG == 100 + got);
        seen += got;
    }
    CHECK(rank != 0 || seen == size * (size - 1) / 2);
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Barrier(MPI_COMM_WORLD));
}

static void
check_truncation(void)
{
    int out[400] = {1, 2, 3}, in[4], count;
    MPI_Status status;
    MPI_Request request;

    for (int many = 3; many <= 400; many += 397) {
        OK(MPI_Isend(out, many, MPI_INT, next, 2, MPI_COMM_WORLD, &request));
        REFUSED(MPI_Recv(in, 2, MPI_INT, last, 2, MPI_COMM_WORLD, &status), MPI_ERR_TRUNCATE);
        OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    }
    OK(MPI_Isend(out, 2, MPI_INT, next, 2, MPI_COMM_WORLD, &request)); /* a shorter one is right */
    OK(MPI_Recv(in, 4, MPI_INT, last, 2, MPI_COMM_WORLD, &status));
    OK(MPI_Get_count(&status, MPI_INT, &count));
    CHECK(count == 2);
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
}

static void
check_nobody(void)
{
    int value = 5, count, flag;
    MPI_Status status;
    MPI_Message message;

    OK(MPI_Send(&value, 1, MPI_INT, MPI_PROC_NULL, 0, MPI_COMM_WORLD));
    OK(MPI_Recv(&value, 1, MPI_INT, MPI_PROC_NULL, 0, MPI_COMM_WORLD, &status));
    OK(MPI_Get_count(&status, MPI_INT, &count));
    CHECK(status.MPI_SOURCE == MPI_PROC_NULL && status.MPI_TAG == MPI_ANY_TAG && count == 0);
    OK(MPI_Probe(MPI_PROC_NULL, 0, MPI_COMM_WORLD, &status));
    CHECK(status.MPI_SOURCE == MPI_PROC_NULL);
    OK(MPI_Iprobe(MPI_PROC_NULL, 0, MPI_COMM_WORLD, &flag, &status));
    CHECK(flag);
    OK(MPI_Mprobe(MPI_PROC_NULL, 0, MPI_COMM_WORLD, &message, &status));
    CHECK(message == MPI_MESSAGE_NO_PROC);
    OK(MPI_Mrecv(&value, 1, MPI_INT, &message, &status));
    CHECK(message == MPI_MESSAGE_NULL && status.MPI_SOURCE == MPI_PROC_NULL && value == 5);
}

static void
check_exchange(void)
{
    int out[2] = {rank, -rank}, in[2] = {-1, -1};
    MPI_Request request;
    MPI_Status status;

    OK(MPI_Sendrecv(out, 2, MPI_INT, next, 4, in, 2, MPI_INT, last, 4, MPI_COMM_WORLD, &status));
    CHECK(in[0] == last && in[1] == -last);
    OK(MPI_Sendrecv_replace(out, 2, MPI_INT, next, 4, last, 4, MPI_COMM_WORLD, &status));
    CHECK(out[0] == last && out[1] == -last);
    in[0] = -1;
    OK(MPI_Isendrecv(&rank, 1, MPI_INT, next, 5, in, 1, MPI_INT, last, 5, MPI_COMM_WORLD,
                     &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    CHECK(in[0] == last);
    in[0] = rank;
    OK(MPI_Isendrecv_replace(in, 1, MPI_INT, next, 5, last, 5, MPI_COMM_WORLD, &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    CHECK(in[0] == last);
    REFUSED(
        MPI_Sendrecv(out, -1, MPI_INT, next, 4, in, 2, MPI_INT, last, 4, MPI_COMM_WORLD, &status),
        MPI_ERR_COUNT);
    REFUSED(MPI_Sendrecv_replace(out, 2, MPI_INT, next, -4, last, 4, MPI_COMM_WORLD, &status),
            MPI_ERR_TAG);
    REFUSED(
        MPI_Isendrecv(out, 1, MPI_INT, size, 5, in, 1, MPI_INT, last, 5, MPI_COMM_WORLD, &request),
        MPI_ERR_RANK);
    REFUSED(
        MPI_Isendrecv_replace(in, 1, MPI_DATATYPE_NULL, next, 5, last, 5, MPI_COMM_WORLD, &request),
        MPI_ERR_TYPE);
}

/* ---------------------------------------------------------------------------- probes */

static void
check_probes(void)
{
    int values[3] = {7, 8, 9}, in[3], count, flag = 0;
    MPI_Request requests[3];
    MPI_Message message;
    MPI_Status status;

    OK(MPI_Iprobe(last, 999, MPI_COMM_WORLD, &flag, &status));
    CHECK(!flag);
    for (int i = 0; i < 3; i++)
        OK(MPI_Isend(values, i + 1, MPI_INT, next, 50 + i, MPI_COMM_WORLD, &requests[i]));
    OK(MPI_Probe(MPI_ANY_SOURCE, 51, MPI_COMM_WORLD, &status));
    OK(MPI_Get_count(&status, MPI_INT, &count));
    CHECK(count == 2 && status.MPI_SOURCE == last && status.MPI_TAG == 51);
    OK(MPI_Mprobe(last, 52, MPI_COMM_WORLD, &message, &status));
    while (!flag)
        OK(MPI_Iprobe(last, 50, MPI_COMM_WORLD, &flag, &status));
    OK(MPI_Recv(in, 3, MPI_INT, last, 50, MPI_COMM_WORLD, &status));
    CHECK(in[0] == 7);
    OK(MPI_Mrecv(in, 3, MPI_INT, &message, &status));
    OK(MPI_Get_count(&status, MPI_INT, &count));
    CHECK(count == 3 && in[2] == 9 && message == MPI_MESSAGE_NULL);
    for (flag = 0; !flag;)
        OK(MPI_Improbe(last, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &message, &status));
    OK(MPI_Waitall(3, requests, MPI_STATUSES_IGNORE));
    OK(MPI_Imrecv(in, 3, MPI_INT, &message, &requests[0]));
    OK(MPI_Wait(&requests[0], &status));
    CHECK(in[1] == 8 && status.MPI_TAG == 51);
    REFUSED(MPI_Mrecv(in, 3, MPI_INT, &message, &status), MPI_ERR_REQUEST);
    REFUSED(MPI_Imrecv(in, 3, MPI_INT, &message, &requests[0]), MPI_ERR_REQUEST);
    REFUSED(MPI_Probe(size, 0, MPI_COMM_WORLD, &status), MPI_ERR_RANK);
    REFUSED(MPI_Iprobe(0, -7, MPI_COMM_WORLD, &flag, &status), MPI_ERR_TAG);
    REFUSED(MPI_Mprobe(0, 0, MPI_COMM_NULL, &message, &status), MPI_ERR_COMM);
    REFUSED(MPI_Improbe(-9, 0, MPI_COMM_WORLD, &flag, &message, &status), MPI_ERR_RANK);
}

/* --------------------------------------------------------------------------- requests */

/* Four receives, of which those with odd numbers come first. */
static void
check_waits(void)
{
    int in[4] = {0}, out[4] = {10, 11, 12, 13}, index, flag, count, indices[4];
    MPI_Request requests[4], sends[4];
    MPI_Status statuses[4], status;

    for (int i = 0; i < 4; i++)
        OK(MPI_Irecv(&in[i], 1, MPI_INT, last, 60 + i, MPI_COMM_WORLD, &requests[i]));
    OK(MPI_Test(&requests[0], &flag, &status));
    CHECK(!flag);
    OK(MPI_Request_get_status(requests[1], &flag, &status));
    CHECK(!flag);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Isend(&out[3], 1, MPI_INT, next, 63, MPI_COMM_WORLD, &sends[3]));
    OK(MPI_Waitany(4, requests, &index, &status));
    CHECK(index == 3 && in[3] == 13 && requests[3] == MPI_REQUEST_NULL && status.MPI_TAG == 63);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Testany(4, requests, &index, &flag, &status));
    CHECK(!flag && index == MPI_UNDEFINED);
    OK(MPI_Testsome(4, requests, &count, indices, statuses));
    CHECK(count == 0);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Isend(&out[1], 1, MPI_INT, next, 61, MPI_COMM_WORLD, &sends[1]));
    OK(MPI_Waitsome(4, requests, &count, indices, statuses));
    CHECK(count == 1 && indices[0] == 1 && in[1] == 11 && statuses[0].MPI_SOURCE == last);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Testall(4, requests, &flag, statuses));
    CHECK(!flag);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Isend(&out[0], 1, MPI_INT, next, 60, MPI_COMM_WORLD, &sends[0]));
    OK(MPI_Isend(&out[2], 1, MPI_INT, next, 62, MPI_COMM_WORLD, &sends[2]));
    OK(MPI_Waitall(4, requests, statuses));
    CHECK(in[0] == 10 && in[2] == 12 && statuses[2].MPI_TAG == 62);
    OK(MPI_Get_count(&statuses[1], MPI_INT, &count)); /* an empty one */
    CHECK(count == 0 && statuses[1].MPI_SOURCE == MPI_ANY_SOURCE);
    OK(MPI_Waitall(4, sends, MPI_STATUSES_IGNORE));
}

static void
check_nothing_to_wait_for(void)
{
    int index, flag, count, indices[4];
    MPI_Request sends[4] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    MPI_Status statuses[4], status;

    OK(MPI_Waitany(4, sends, &index, &status));
    CHECK(index == MPI_UNDEFINED);
    OK(MPI_Waitsome(4, sends, &count, indices, statuses));
    CHECK(count == MPI_UNDEFINED);
    OK(MPI_Testany(4, sends, &index, &flag, &status));
    CHECK(flag && index == MPI_UNDEFINED);
}

static void
check_persistent(void)
{
    int out[4], in[4] = {0}, bytes = 4096, flag;
    void *buffer = malloc(bytes);
    MPI_Request requests[8], gone;

    OK(MPI_Buffer_attach(buffer, bytes));
    OK(MPI_Send_init(&out[0], 1, MPI_INT, next, 70, MPI_COMM_WORLD, &requests[0]));
    OK(MPI_Ssend_init(&out[1], 1, MPI_INT, next, 71, MPI_COMM_WORLD, &requests[1]));
    OK(MPI_Bsend_init(&out[2], 1, MPI_INT, next, 72, MPI_COMM_WORLD, &requests[2]));
    OK(MPI_Rsend_init(&out[3], 1, MPI_INT, next, 73, MPI_COMM_WORLD, &requests[3]));
    for (int i = 0; i < 4; i++)
        OK(MPI_Recv_init(&in[i], 1, MPI_INT, last, 70 + i, MPI_COMM_WORLD, &requests[4 + i]));
    OK(MPI_Wait(&requests[0], MPI_STATUS_IGNORE)); /* not active: at once */
    CHECK(requests[0] != MPI_REQUEST_NULL);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++)
            out[i] = 100 * rank + 10 * round + i;
        OK(MPI_Startall(4, requests + 4));
        OK(MPI_Barrier(MPI_COMM_WORLD));
        OK(MPI_Start(&requests[0]));
        REFUSED(MPI_Start(&requests[4]), MPI_ERR_REQUEST); /* it is active */
        OK(MPI_Startall(3, requests + 1));
        OK(MPI_Waitall(8, requests, MPI_STATUSES_IGNORE));
        for (int i = 0; i < 4; i++)
            CHECK(in[i] == 100 * last + 10 * round + i);
        OK(MPI_Barrier(MPI_COMM_WORLD));
    }
    OK(MPI_Request_get_status(requests[0], &flag, MPI_STATUS_IGNORE));
    CHECK(flag);
    for (int i = 0; i < 8; i++) {
        gone = requests[i];
        OK(MPI_Request_free(&requests[i]));
        CHECK(requests[i] == MPI_REQUEST_NULL);
        REFUSED(MPI_Start(&gone), MPI_ERR_REQUEST);
    }
    OK(MPI_Buffer_detach(&buffer, &bytes));
    free(buffer);
}

static void
check_wrong_persistent(void)
{
    int out[1];
    MPI_Request requests[1] = {MPI_REQUEST_NULL};

    REFUSED(MPI_Startall(1, requests), MPI_ERR_REQUEST);
    REFUSED(MPI_Request_free(requests), MPI_ERR_REQUEST);
    REFUSED(MPI_Send_init(out, 1, MPI_INT, size, 0, MPI_COMM_WORLD, requests), MPI_ERR_RANK);
    REFUSED(MPI_Ssend_init(out, -1, MPI_INT, 0, 0, MPI_COMM_WORLD, requests), MPI_ERR_COUNT);
    REFUSED(MPI_Bsend_init(out, 1, MPI_INT, 0, -1, MPI_COMM_WORLD, requests), MPI_ERR_TAG);
    REFUSED(MPI_Rsend_init(out, 1, MPI_INT, 0, 0, MPI_COMM_NULL, requests), MPI_ERR_COMM);
    REFUSED(MPI_Recv_init(out, 1, MPI_DATATYPE_NULL, 0, 0, MPI_COMM_WORLD, requests), MPI_ERR_TYPE);
}

static void
check_cancel(void)
{
    int in, flag;
    MPI_Request request;
    MPI_Status status;

    OK(MPI_Irecv(&in, 1, MPI_INT, last, 80, MPI_COMM_WORLD, &request));
    OK(MPI_Cancel(&request));
    OK(MPI_Wait(&request, &status));
    OK(MPI_Test_cancelled(&status, &flag));
    CHECK(flag);
    OK(MPI_Issend(&in, 1, MPI_INT, next, 81, MPI_COMM_WORLD, &request)); /* nobody receives it */
    OK(MPI_Cancel(&request));
    OK(MPI_Wait(&request, &status));
    OK(MPI_Test_cancelled(&status, &flag));
    CHECK(flag);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Iprobe(MPI_ANY_SOURCE, 81, MPI_COMM_WORLD, &flag, &status));
    CHECK(!flag);
    REFUSED(MPI_Cancel(&request), MPI_ERR_REQUEST);
}

/* What is complete at the other end is not waited for here. */
static void
check_freed(void)
{
    int out = 5 * rank, in;
    MPI_Request request;

    OK(MPI_Isend(&out, 1, MPI_INT, next, 90, MPI_COMM_WORLD, &request));
    OK(MPI_Request_free(&request));
    OK(MPI_Recv(&in, 1, MPI_INT, last, 90, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
    CHECK(in == 5 * last);
}

static void
check_statuses(void)
{
    int count, flag;
    MPI_Count large;
    MPI_Status status;

    memset(&status, 0, sizeof(status));
    OK(MPI_Status_set_elements(&status, MPI_INT, 12));
    OK(MPI_Get_elements(&status, MPI_INT, &count));
    CHECK(count == 12);
    OK(MPI_Status_set_elements_x(&status, MPI_BYTE, 5000000000));
    OK(MPI_Get_elements_x(&status, MPI_BYTE, &large));
    CHECK(large == 5000000000);
    OK(MPI_Get_count(&status, MPI_BYTE, &count));
    CHECK(count == MPI_UNDEFINED);
    OK(MPI_Status_set_cancelled(&status, 1));
    OK(MPI_Test_cancelled(&status, &flag));
    CHECK(flag);
    OK(MPI_Status_set_source(&status, 3));
    OK(MPI_Status_set_tag(&status, 4));
    OK(MPI_Status_set_error(&status, 5));
    OK(MPI_Status_get_source(&status, &count));
    CHECK(count == 3);
    OK(MPI_Status_get_tag(&status, &count));
    CHECK(count == 4);
    OK(MPI_Status_get_error(&status, &count));
    CHECK(count == 5);
    REFUSED(MPI_Get_count(&status, MPI_DATATYPE_NULL, &count), MPI_ERR_TYPE);
    REFUSED(MPI_Get_elements(&status, MPI_DATATYPE_NULL, &count), MPI_ERR_TYPE);
    REFUSED(MPI_Get_elements_x(&status, MPI_DATATYPE_NULL, &large), MPI_ERR_TYPE);
    REFUSED(MPI_Status_set_elements(&status, MPI_DATATYPE_NULL, 1), MPI_ERR_TYPE);
    REFUSED(MPI_Status_set_elements_x(&status, MPI_DATATYPE_NULL, 1), MPI_ERR_TYPE);
}

/* ---------------------------------------------------------------- generalized requests */

static int queried, freed, cancelled;

static int
query(void *extra, MPI_Status *status)
{
    queried++;
    MPI_Status_set_elements(status, MPI_INT, *(int *)extra);
    MPI_Status_set_cancelled(status, 0);
    status->MPI_SOURCE = status->MPI_TAG = 17;
    return MPI_SUCCESS;
}

static int
release(void *extra)
{
    (void)extra;
    freed++;
    return MPI_SUCCESS;
}

static int
cancel(void *extra, int is_complete)
{
    (void)extra;
    cancelled += 1 + 10 * is_complete;
    return MPI_SUCCESS;
}

static void
check_generalized(void)
{
    int elements = 6, count, flag;
    MPI_Request request;
    MPI_Status status;

    OK(MPI_Grequest_start(query, release, cancel, &elements, &request));
    OK(MPI_Test(&request, &flag, &status));
    CHECK(!flag);
    OK(MPI_Cancel(&request));
    CHECK(cancelled == 1);
    OK(MPI_Grequest_complete(request));
    OK(MPI_Wait(&request, &status));
    CHECK(request == MPI_REQUEST_NULL && queried == 1 && freed == 1 && status.MPI_TAG == 17);
    OK(MPI_Get_count(&status, MPI_INT, &count));
    CHECK(count == 6);
    REFUSED(MPI_Grequest_complete(request), MPI_ERR_REQUEST);
    REFUSED(MPI_Grequest_start(query, release, cancel, NULL, NULL), MPI_ERR_ARG);
}

/* ----------------------------------------------------------------------------- misuse */

static void
check_wrong(void)
{
    int value = 0, flag, index, count;
    MPI_Request request = (MPI_Request)MPI_COMM_WORLD, requests[2] = {request, request};
    MPI_Status statuses[2];

    REFUSED(MPI_Send(&value, -1, MPI_INT, 0, 0, MPI_COMM_WORLD), MPI_ERR_COUNT);
    REFUSED(MPI_Send(&value, 1, MPI_DATATYPE_NULL, 0, 0, MPI_COMM_WORLD), MPI_ERR_TYPE);
    REFUSED(MPI_Send(&value, 1, MPI_INT, size, 0, MPI_COMM_WORLD), MPI_ERR_RANK);
    REFUSED(MPI_Send(&value, 1, MPI_INT, MPI_ANY_SOURCE, 0, MPI_COMM_WORLD), MPI_ERR_RANK);
    REFUSED(MPI_Send(&value, 1, MPI_INT, 0, MPI_ANY_TAG, MPI_COMM_WORLD), MPI_ERR_TAG);
    REFUSED(MPI_Send(&value, 1, MPI_INT, 0, 0, MPI_COMM_NULL), MPI_ERR_COMM);
    REFUSED(MPI_Send(NULL, 1, MPI_INT, 0, 0, MPI_COMM_WORLD), MPI_ERR_BUFFER);
    REFUSED(MPI_Ssend(&value, -1, MPI_INT, 0, 0, MPI_COMM_WORLD), MPI_ERR_COUNT);
    REFUSED(MPI_Rsend(&value, 1, MPI_INT, -8, 0, MPI_COMM_WORLD), MPI_ERR_RANK);
    REFUSED(MPI_Isend(&value, 1, MPI_INT, 0, -8, MPI_COMM_WORLD, &request), MPI_ERR_TAG);
    REFUSED(MPI_Issend(&value, 1, MPI_INT, 0, 0, MPI_COMM_NULL, &request), MPI_ERR_COMM);
    REFUSED(MPI_Irsend(&value, 1, MPI_INT, size, 0, MPI_COMM_WORLD, &request), MPI_ERR_RANK);
    REFUSED(MPI_Recv(&value, 1, MPI_INT, size, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE), MPI_ERR_RANK);
    REFUSED(MPI_Irecv(&value, -1, MPI_INT, 0, 0, MPI_COMM_WORLD, &request), MPI_ERR_COUNT);
    REFUSED(MPI_Wait(&request, MPI_STATUS_IGNORE), MPI_ERR_REQUEST);
    REFUSED(MPI_Test(&request, &flag, MPI_STATUS_IGNORE), MPI_ERR_REQUEST);
    REFUSED(MPI_Request_get_status(request, &flag, MPI_STATUS_IGNORE), MPI_ERR_REQUEST);
    REFUSED(MPI_Waitany(2, requests, &index, MPI_STATUS_IGNORE), MPI_ERR_REQUEST);
    REFUSED(MPI_Testany(2, requests, &index, &flag, MPI_STATUS_IGNORE), MPI_ERR_REQUEST);
    REFUSED(MPI_Waitall(2, requests, MPI_STATUSES_IGNORE), MPI_ERR_REQUEST);
    REFUSED(MPI_Testall(-1, requests, &flag, statuses), MPI_ERR_ARG);
    REFUSED(MPI_Waitsome(-1, requests, &count, &index, statuses), MPI_ERR_ARG);
    REFUSED(MPI_Testsome(-1, requests, &count, &index, statuses), MPI_ERR_ARG);
    REFUSED(MPI_Buffer_attach(&value, -1), MPI_ERR_ARG);
}

/* Some of what is waited for is wrong: its status says so. */
static void
check_error_in_status(void)
{
    int out[2] = {1, 2}, in[2];
    MPI_Request requests[2], sends[2];
    MPI_Status statuses[2];

    OK(MPI_Irecv(&in[0], 1, MPI_INT, last, 95, MPI_COMM_WORLD, &requests[0]));
    OK(MPI_Irecv(&in[1], 1, MPI_INT, last, 96, MPI_COMM_WORLD, &requests[1]));
    OK(MPI_Isend(out, 2, MPI_INT, next, 95, MPI_COMM_WORLD, &sends[0])); /* too long */
    OK(MPI_Isend(out, 1, MPI_INT, next, 96, MPI_COMM_WORLD, &sends[1]));
    REFUSED(MPI_Waitall(2, requests, statuses), MPI_ERR_IN_STATUS);
    CHECK(statuses[0].MPI_ERROR == MPI_ERR_TRUNCATE && statuses[1].MPI_ERROR == MPI_SUCCESS);
    OK(MPI_Waitall(2, sends, MPI_STATUSES_IGNORE));
}

int
main(int argc, char **argv)
{
    begin(&argc, &argv);
    next = (rank + 1) % size;
    last = (rank + size - 1) % size;
    check_modes();
    check_order();
    check_everyone();
    check_truncation();
    check_nobody();
    check_exchange();
    check_probes();
    check_waits();
    check_nothing_to_wait_for();
    check_persistent();
    check_wrong_persistent();
    check_cancel();
    check_freed();
    check_statuses();
    check_generalized();
    check_wrong();
    check_error_in_status();
    return end();
}
