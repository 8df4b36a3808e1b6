/* SPDX-License-Identifier: Apache-2.0
 *
 * Files: their life, pointers, all forms of access, and what is refused.
 */
#include "testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mpi.h"

#define OK(call)             CHECK((call) == MPI_SUCCESS)
#define REFUSED(call, class) CHECK((call) == (class))
#define NAME                 "file"
#define BOTH                 (MPI_MODE_RDWR | MPI_MODE_CREATE)

static int rank, size;

static void
begin(void)
{
    OK(MPI_Init(NULL, NULL));
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    OK(MPI_Comm_size(MPI_COMM_WORLD, &size));
}

static MPI_File
make(int amode)
{
    MPI_File file;

    OK(MPI_File_open(MPI_COMM_WORLD, NAME, amode, MPI_INFO_NULL, &file));
    return file;
}

static void
check_count(const MPI_Status *status, MPI_Datatype type, int expected)
{
    int count;

    OK(MPI_Get_count(status, type, &count));
    CHECK(count == expected);
}

static void
run(void (*body)(void))
{
    static const uint32_t members[] = {1, 2, 4};

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        assert_true(mpi_testing_run(members[i], body));
        (void)unlink(NAME);
    }
}

/* ---------------------------------------------------------------------------- life */

static void
life_body(void)
{
    MPI_File file;
    MPI_Group group;
    MPI_Offset bytes;
    int amode, members;

    begin();
    REFUSED(MPI_File_open(MPI_COMM_WORLD, NAME, MPI_MODE_RDONLY, MPI_INFO_NULL, &file),
            MPI_ERR_NO_SUCH_FILE);
    file = make(BOTH | MPI_MODE_EXCL);
    OK(MPI_File_get_amode(file, &amode));
    CHECK(amode == (BOTH | MPI_MODE_EXCL));
    OK(MPI_File_get_group(file, &group));
    OK(MPI_Group_size(group, &members));
    CHECK(members == size);
    OK(MPI_Group_free(&group));
    OK(MPI_File_set_size(file, 1000));
    OK(MPI_File_get_size(file, &bytes));
    CHECK(bytes == 1000);
    OK(MPI_File_preallocate(file, 500));
    OK(MPI_File_get_size(file, &bytes));
    CHECK(bytes == 1000);
    OK(MPI_File_preallocate(file, 5000));
    OK(MPI_File_get_size(file, &bytes));
    CHECK(bytes == 5000);
    OK(MPI_File_close(&file));
    CHECK(file == MPI_FILE_NULL);
    REFUSED(MPI_File_open(MPI_COMM_WORLD, NAME, BOTH | MPI_MODE_EXCL, MPI_INFO_NULL, &file),
            MPI_ERR_FILE_EXISTS);
    file = make(MPI_MODE_RDONLY | MPI_MODE_DELETE_ON_CLOSE);
    OK(MPI_File_close(&file));
    CHECK(access(NAME, F_OK) != 0);
    OK(MPI_Finalize());
}

static void
test_a_file_is_made_measured_and_deleted(void **state)
{
    (void)state;
    run(life_body);
}

/* One member is wrong: all hear of it, and none is left waiting. */
static void
refuse_body(void)
{
    MPI_File file;
    int err;

    begin();
    REFUSED(MPI_File_open(MPI_COMM_WORLD, NAME, 0, MPI_INFO_NULL, &file), MPI_ERR_AMODE);
    REFUSED(
        MPI_File_open(MPI_COMM_WORLD, NAME, MPI_MODE_RDONLY | MPI_MODE_RDWR, MPI_INFO_NULL, &file),
        MPI_ERR_AMODE);
    REFUSED(MPI_File_open(MPI_COMM_WORLD, NAME, MPI_MODE_RDONLY | MPI_MODE_CREATE, MPI_INFO_NULL,
                          &file),
            MPI_ERR_AMODE);
    REFUSED(MPI_File_open(MPI_COMM_WORLD, NAME, MPI_MODE_RDWR | MPI_MODE_SEQUENTIAL, MPI_INFO_NULL,
                          &file),
            MPI_ERR_AMODE);
    REFUSED(MPI_File_open(MPI_COMM_WORLD, ".", MPI_MODE_RDONLY, MPI_INFO_NULL, &file),
            MPI_ERR_BAD_FILE);
    REFUSED(MPI_File_open(MPI_COMM_WORLD, NULL, MPI_MODE_RDONLY, MPI_INFO_NULL, &file),
            MPI_ERR_BAD_FILE);
    REFUSED(MPI_File_open(MPI_COMM_NULL, NAME, MPI_MODE_RDONLY, MPI_INFO_NULL, &file),
            MPI_ERR_COMM);
    err = MPI_File_open(MPI_COMM_WORLD, NAME, rank == size - 1 ? -1 : BOTH, MPI_INFO_NULL, &file);
    CHECK(err == MPI_ERR_AMODE);
    err = MPI_File_open(MPI_COMM_WORLD, NAME, rank == 0 ? BOTH | MPI_MODE_APPEND : BOTH,
                        MPI_INFO_NULL, &file);
    CHECK(err == (size == 1 ? MPI_SUCCESS : MPI_ERR_NOT_SAME));
    if (err == MPI_SUCCESS)
        OK(MPI_File_close(&file));
    REFUSED(MPI_File_delete("none", MPI_INFO_NULL), MPI_ERR_NO_SUCH_FILE);
    REFUSED(MPI_File_delete("", MPI_INFO_NULL), MPI_ERR_BAD_FILE);
    file = MPI_FILE_NULL;
    REFUSED(MPI_File_close(&file), MPI_ERR_FILE);
    OK(MPI_Finalize());
}

static void
test_what_is_wrong_with_an_open_is_told_to_all(void **state)
{
    (void)state;
    run(refuse_body);
}

static void
modes_body(void)
{
    MPI_File file = make(MPI_MODE_WRONLY | MPI_MODE_CREATE);
    int value = rank;

    REFUSED(MPI_File_read(file, &value, 1, MPI_INT, MPI_STATUS_IGNORE), MPI_ERR_ACCESS);
    OK(MPI_File_write_at(file, rank * (int)sizeof(int), &value, 1, MPI_INT, MPI_STATUS_IGNORE));
    REFUSED(MPI_File_write_at(file, -1, &value, 1, MPI_INT, MPI_STATUS_IGNORE), MPI_ERR_ARG);
    REFUSED(MPI_File_write(file, &value, -1, MPI_INT, MPI_STATUS_IGNORE), MPI_ERR_COUNT);
    REFUSED(MPI_File_write(file, &value, 1, MPI_DATATYPE_NULL, MPI_STATUS_IGNORE), MPI_ERR_TYPE);
    REFUSED(MPI_File_set_size(file, rank == 0 ? -1 : 0), MPI_ERR_ARG);
    REFUSED(MPI_File_seek(file, -1, MPI_SEEK_SET), MPI_ERR_ARG);
    REFUSED(MPI_File_seek(file, 0, 77), MPI_ERR_ARG);
    REFUSED(MPI_File_seek_shared(file, -1, MPI_SEEK_SET), MPI_ERR_ARG);
    OK(MPI_File_close(&file));
    file = make(MPI_MODE_RDONLY);
    REFUSED(MPI_File_write(file, &value, 1, MPI_INT, MPI_STATUS_IGNORE), MPI_ERR_READ_ONLY);
    REFUSED(MPI_File_set_size(file, 0), MPI_ERR_READ_ONLY);
    OK(MPI_File_close(&file));
    file = make(MPI_MODE_RDONLY | MPI_MODE_SEQUENTIAL);
    REFUSED(MPI_File_read(file, &value, 1, MPI_INT, MPI_STATUS_IGNORE),
            MPI_ERR_UNSUPPORTED_OPERATION);
    REFUSED(MPI_File_read_at(file, 0, &value, 1, MPI_INT, MPI_STATUS_IGNORE),
            MPI_ERR_UNSUPPORTED_OPERATION);
    REFUSED(MPI_File_seek(file, 0, MPI_SEEK_SET), MPI_ERR_UNSUPPORTED_OPERATION);
    OK(MPI_File_read_ordered(file, &value, 1, MPI_INT, MPI_STATUS_IGNORE));
    CHECK(value == rank);
    OK(MPI_File_close(&file));
}

static void
modes_world(void)
{
    begin();
    modes_body();
    OK(MPI_Finalize());
}

static void
test_modes_say_what_may_be_done(void **state)
{
    (void)state;
    run(modes_world);
}

/* ------------------------------------------------------------------------- accesses */

/* Each member has its own eight ints. */
static void
write_forms(MPI_File file, MPI_Offset mine, const int *out)
{
    MPI_Status status;
    MPI_Request request;
    MPI_Offset at;
    int in;

    OK(MPI_File_write_at_all(file, mine, out, 2, MPI_INT, &status));
    check_count(&status, MPI_INT, 2);
    OK(MPI_File_seek(file, mine + 8, MPI_SEEK_SET));
    OK(MPI_File_write(file, out + 2, 1, MPI_INT, &status));
    OK(MPI_File_iwrite(file, out + 3, 1, MPI_INT, &request));
    OK(MPI_Wait(&request, &status));
    check_count(&status, MPI_INT, 1);
    OK(MPI_File_write_all_begin(file, out + 4, 2, MPI_INT));
    REFUSED(MPI_File_write_all_begin(file, out + 4, 2, MPI_INT), MPI_ERR_OTHER);
    REFUSED(MPI_File_read_all_end(file, &in, &status), MPI_ERR_OTHER);
    REFUSED(MPI_File_close(&file), MPI_ERR_OTHER);
    OK(MPI_File_write_all_end(file, out + 4, &status));
    check_count(&status, MPI_INT, 2);
    REFUSED(MPI_File_write_all_end(file, out + 4, &status), MPI_ERR_OTHER);
    OK(MPI_File_get_position(file, &at));
    CHECK(at == mine + 24);
    OK(MPI_File_iwrite_at(file, mine + 24, out + 6, 2, MPI_INT, &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
}

static void
read_forms(MPI_File file, MPI_Offset mine, const int *out)
{
    MPI_Status status;
    MPI_Request request;
    int in[8];

    OK(MPI_File_read_at_all(file, mine, in, 8, MPI_INT, &status));
    CHECK(memcmp(in, out, sizeof(in)) == 0);
    memset(in, 0xff, sizeof(in));
    OK(MPI_File_iread_at_all(file, mine, in, 4, MPI_INT, &request));
    OK(MPI_Wait(&request, &status));
    check_count(&status, MPI_INT, 4);
    OK(MPI_File_read_at_all_begin(file, mine + 16, in + 4, 4, MPI_INT));
    OK(MPI_File_read_at_all_end(file, in + 4, &status));
    CHECK(memcmp(in, out, sizeof(in)) == 0);
    OK(MPI_File_seek(file, -(MPI_Offset)sizeof(int), MPI_SEEK_END));
    memset(in, 0xff, sizeof(in));
    OK(MPI_File_read(file, in, 8, MPI_INT, &status)); /* where the file ends */
    check_count(&status, MPI_INT, 1);
    CHECK(in[0] == 100 * (size - 1) + 7 && in[1] == -1);
    OK(MPI_File_read_all(file, in, 1, MPI_INT, &status));
    check_count(&status, MPI_INT, 0);
}

static void
forms_body(void)
{
    MPI_File file;
    MPI_Offset mine;
    int out[8];

    begin();
    file = make(BOTH);
    mine = rank * (MPI_Offset)sizeof(out);
    for (int i = 0; i < 8; i++)
        out[i] = 100 * rank + i;
    write_forms(file, mine, out);
    OK(MPI_File_sync(file));
    read_forms(file, mine, out);
    OK(MPI_File_close(&file));
    OK(MPI_Finalize());
}

static void
test_all_forms_of_access_move_the_same_bytes(void **state)
{
    (void)state;
    run(forms_body);
}

/* Whoever comes, each place is given to one alone. */
static void
shared_body(void)
{
    MPI_File file;
    MPI_Offset at;
    MPI_Status status;
    int seen[4] = {0}, value;

    begin();
    file = make(BOTH);
    for (int i = 0; i < 50; i++)
        OK(MPI_File_write_shared(file, &rank, 1, MPI_INT, &status));
    OK(MPI_File_sync(file));
    OK(MPI_File_get_position_shared(file, &at));
    CHECK(at == 50 * size * (MPI_Offset)sizeof(int));
    for (int i = 0; i < 50 * size; i++) {
        OK(MPI_File_read_at(file, i * (MPI_Offset)sizeof(int), &value, 1, MPI_INT, &status));
        check_count(&status, MPI_INT, 1);
        CHECK(value >= 0 && value < size);
        seen[value]++;
    }
    for (int i = 0; i < size; i++)
        CHECK(seen[i] == 50);
    OK(MPI_File_close(&file));
    OK(MPI_Finalize());
}

static void
test_the_shared_pointer_gives_each_place_once(void **state)
{
    (void)state;
    run(shared_body);
}

static void
append(MPI_Offset end)
{
    MPI_File file = make(MPI_MODE_WRONLY | MPI_MODE_APPEND);
    MPI_Offset at;

    OK(MPI_File_get_position(file, &at));
    CHECK(at == end);
    OK(MPI_File_get_position_shared(file, &at));
    CHECK(at == end);
    OK(MPI_File_close(&file));
}

/* Member r writes r + 1 ints; they lie in the order of ranks. */
static void
ordered_body(void)
{
    MPI_File file;
    MPI_Status status;
    MPI_Offset at;
    int values[4], first, total;

    begin();
    file = make(BOTH);
    first = rank * (rank + 1) / 2;
    total = size * (size + 1) / 2;
    for (int i = 0; i <= rank; i++)
        values[i] = first + i;
    OK(MPI_File_write_ordered(file, values, rank + 1, MPI_INT, &status));
    check_count(&status, MPI_INT, rank + 1);
    OK(MPI_File_get_position_shared(file, &at));
    CHECK(at == total * (MPI_Offset)sizeof(int));
    OK(MPI_File_seek_shared(file, -(MPI_Offset)sizeof(int), MPI_SEEK_END));
    OK(MPI_File_seek_shared(file, sizeof(int), MPI_SEEK_CUR));
    OK(MPI_File_write_ordered_begin(file, values, rank + 1, MPI_INT));
    OK(MPI_File_write_ordered_end(file, values, &status));
    OK(MPI_File_seek_shared(file, 0, MPI_SEEK_SET));
    for (int round = 0; round < 2; round++) {
        memset(values, 0, sizeof(values));
        OK(MPI_File_read_ordered(file, values, rank + 1, MPI_INT, &status));
        check_count(&status, MPI_INT, rank + 1);
        for (int i = 0; i <= rank; i++)
            CHECK(values[i] == first + i);
    }
    CHECK(MPI_File_read_ordered(file, values, rank == 0 ? -1 : 0, MPI_INT, &status) ==
          (rank == 0 ? MPI_ERR_COUNT : MPI_SUCCESS));
    CHECK(MPI_File_seek_shared(file, rank, MPI_SEEK_SET) ==
          (size > 1 ? MPI_ERR_NOT_SAME : MPI_SUCCESS));
    OK(MPI_File_close(&file));
    append(2 * total * (MPI_Offset)sizeof(int));
    OK(MPI_Finalize());
}

static void
test_ordered_accesses_lie_in_the_order_of_ranks(void **state)
{
    (void)state;
    run(ordered_body);
}

/* Each writes all of it at once: what is read is of one member alone. */
static void
atomic_body(void)
{
    enum { INTS = 4096 };
    MPI_File file;
    int *values = malloc(INTS * sizeof(*values)), flag;
    MPI_Datatype second;

    begin();
    CHECK(values != NULL);
    OK(MPI_Type_create_resized(MPI_INT, 0, 2 * sizeof(int), &second));
    OK(MPI_Type_commit(&second));
    file = make(BOTH);
    CHECK(MPI_File_set_atomicity(file, rank) == (size > 1 ? MPI_ERR_NOT_SAME : MPI_SUCCESS));
    OK(MPI_File_set_atomicity(file, 1));
    OK(MPI_File_get_atomicity(file, &flag));
    CHECK(flag);
    OK(MPI_File_set_view(file, 0, MPI_INT, second, "native", MPI_INFO_NULL));
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < INTS; i++)
            values[i] = rank;
        OK(MPI_File_write_at(file, 0, values, INTS, MPI_INT, MPI_STATUS_IGNORE));
        OK(MPI_File_read_at(file, 0, values, INTS, MPI_INT, MPI_STATUS_IGNORE));
        for (int i = 1; i < INTS; i++)
            CHECK(values[i] == values[0]);
    }
    OK(MPI_File_close(&file));
    OK(MPI_Type_free(&second));
    free(values);
    OK(MPI_Finalize());
}

static void
test_atomic_accesses_are_seen_whole(void **state)
{
    (void)state;
    run(atomic_body);
}

/* -------------------------------------------------------------------------- objects */

static int handled;

static void
handle_error(MPI_File *file, int *code, ...)
{
    (void)file;
    handled = *code;
}

static void
handlers_body(void)
{
    MPI_Errhandler handler, found;
    MPI_File file, inherits;
    int value;

    begin();
    file = make(BOTH);
    OK(MPI_File_get_errhandler(file, &found));
    CHECK(found == MPI_ERRORS_RETURN);
    OK(MPI_File_create_errhandler(handle_error, &handler));
    OK(MPI_File_set_errhandler(file, handler));
    REFUSED(MPI_File_read(file, &value, -1, MPI_INT, MPI_STATUS_IGNORE), MPI_ERR_COUNT);
    CHECK(handled == MPI_ERR_COUNT);
    OK(MPI_File_call_errhandler(file, MPI_ERR_IO));
    CHECK(handled == MPI_ERR_IO);
    OK(MPI_File_set_errhandler(MPI_FILE_NULL, handler));
    OK(MPI_Errhandler_free(&handler));
    REFUSED(MPI_File_open(MPI_COMM_SELF, "none", MPI_MODE_RDONLY, MPI_INFO_NULL, &inherits),
            MPI_ERR_NO_SUCH_FILE);
    CHECK(handled == MPI_ERR_NO_SUCH_FILE);
    OK(MPI_File_open(MPI_COMM_SELF, NAME, MPI_MODE_RDONLY, MPI_INFO_NULL, &inherits));
    OK(MPI_File_set_errhandler(MPI_FILE_NULL, MPI_ERRORS_RETURN));
    REFUSED(MPI_File_write(inherits, &value, 1, MPI_INT, MPI_STATUS_IGNORE), MPI_ERR_READ_ONLY);
    CHECK(handled == MPI_ERR_READ_ONLY);
    OK(MPI_File_close(&inherits));
    OK(MPI_File_close(&file));
    OK(MPI_Finalize());
}

static void
test_errors_go_to_the_handler_of_the_file(void **state)
{
    (void)state;
    run(handlers_body);
}

static void
info_body(void)
{
    MPI_Info hints, found;
    MPI_File file;
    char value[32];
    int flag;

    begin();
    OK(MPI_Info_create(&hints));
    OK(MPI_Info_set(hints, "access_style", "random"));
    OK(MPI_File_open(MPI_COMM_WORLD, NAME, BOTH, hints, &file));
    OK(MPI_File_get_info(file, &found));
    OK(MPI_Info_get(found, "access_style", 31, value, &flag));
    CHECK(flag && strcmp(value, "random") == 0);
    OK(MPI_Info_free(&found));
    OK(MPI_Info_set(hints, "access_style", "sequential"));
    OK(MPI_File_set_info(file, hints));
    OK(MPI_File_get_info(file, &found));
    OK(MPI_Info_get(found, "access_style", 31, value, &flag));
    CHECK(flag && strcmp(value, "sequential") == 0);
    OK(MPI_Info_free(&found));
    OK(MPI_Info_free(&hints));
    OK(MPI_File_close(&file));
    OK(MPI_Finalize());
}

static void
test_hints_are_kept(void **state)
{
    (void)state;
    run(info_body);
}

static int
enter(void **state)
{
    static char directory[] = "/tmp/weft-file-XXXXXX";

    *state = directory;
    return mkdtemp(directory) != NULL && chdir(directory) == 0 ? 0 : -1;
}

static int
leave(void **state)
{
    return chdir("/") == 0 && rmdir(*state) == 0 ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_is_made_measured_and_deleted),
        cmocka_unit_test(test_what_is_wrong_with_an_open_is_told_to_all),
        cmocka_unit_test(test_modes_say_what_may_be_done),
        cmocka_unit_test(test_all_forms_of_access_move_the_same_bytes),
        cmocka_unit_test(test_the_shared_pointer_gives_each_place_once),
        cmocka_unit_test(test_ordered_accesses_lie_in_the_order_of_ranks),
        cmocka_unit_test(test_atomic_accesses_are_seen_whole),
        cmocka_unit_test(test_errors_go_to_the_handler_of_the_file),
        cmocka_unit_test(test_hints_are_kept),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
