/* SPDX-License-Identifier: Apache-2.0
 *
 * Views of files against what single bytes say: tiles with holes, small and large, partial reads;
 * and data representations, also those of the program.
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
#define INT_BYTES            ((MPI_Offset)sizeof(int))

static int rank, size;

static MPI_File
begin(void)
{
    MPI_File file;

    OK(MPI_Init(NULL, NULL));
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    OK(MPI_Comm_size(MPI_COMM_WORLD, &size));
    OK(MPI_File_open(MPI_COMM_WORLD, NAME, BOTH, MPI_INFO_NULL, &file));
    return file;
}

static void
end(MPI_File *file)
{
    OK(MPI_File_close(file));
    OK(MPI_Finalize());
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

static void
check_count(const MPI_Status *status, MPI_Datatype type, int expected)
{
    int count;

    OK(MPI_Get_count(status, type, &count));
    CHECK(count == expected);
}

/* One block of ints in each round of all members. */
static MPI_Datatype
share_of(int block)
{
    MPI_Datatype ints, type;

    OK(MPI_Type_contiguous(block, MPI_INT, &ints));
    OK(MPI_Type_create_resized(ints, 0, block * size * (MPI_Aint)sizeof(int), &type));
    OK(MPI_Type_commit(&type));
    OK(MPI_Type_free(&ints));
    return type;
}

/* ----------------------------------------------------------------------------- tiles */

/* As they are. */
static void
check_all(MPI_File file, int count)
{
    int *all = malloc((size_t)count * sizeof(*all));
    MPI_Status status;

    CHECK(all != NULL);
    OK(MPI_File_set_view(file, 12, MPI_INT, MPI_INT, "internal", MPI_INFO_NULL));
    OK(MPI_File_read_at(file, 0, all, count, MPI_INT, &status));
    check_count(&status, MPI_INT, count);
    for (int i = 0; i < count; i++)
        CHECK(all[i] == i);
    free(all);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_File_set_size(file, 0));
}

/* All ints of the file are their own place: written through views of all members, read through
 * them and as they are, from memory that has holes of its own. */
static void
interleave(MPI_File file, int block, int rounds)
{
    MPI_Datatype type = share_of(block), pair;
    MPI_Offset disp = 12 + rank * block * INT_BYTES, at;
    MPI_Status status;
    int count = block * rounds, *wide = malloc(2 * (size_t)count * sizeof(*wide));

    CHECK(wide != NULL);
    OK(MPI_Type_create_resized(MPI_INT, 0, 2 * sizeof(int), &pair));
    OK(MPI_Type_commit(&pair));
    OK(MPI_File_set_view(file, disp, MPI_INT, type, "native", MPI_INFO_NULL));
    for (int i = 0; i < count; i++) {
        wide[2 * i] = (i / block * size + rank) * block + i % block;
        wide[2 * i + 1] = -1;
    }
    OK(MPI_File_write_all(file, wide, count, pair, &status));
    check_count(&status, MPI_INT, count);
    OK(MPI_File_get_position(file, &at));
    CHECK(at == count);
    OK(MPI_File_get_byte_offset(file, 3 * block, &at));
    CHECK(at == disp + 3 * block * size * INT_BYTES);
    OK(MPI_File_sync(file));
    OK(MPI_Barrier(MPI_COMM_WORLD));

    memset(wide, 0x55, 2 * (size_t)count * sizeof(*wide));
    OK(MPI_File_read_at_all(file, 1, wide, count, pair, &status)); /* the file ends before */
    check_count(&status, MPI_INT, count - 1);
    for (int i = 0; i < count - 1; i++) {
        CHECK(wide[2 * i] == ((i + 1) / block * size + rank) * block + (i + 1) % block);
        CHECK(wide[2 * i + 1] == 0x55555555);
    }
    OK(MPI_File_seek(file, 0, MPI_SEEK_END));
    OK(MPI_File_get_position(file, &at));
    CHECK(at == count);
    free(wide);
    OK(MPI_Type_free(&pair));
    OK(MPI_Type_free(&type));
}

static void
interleave_body(void)
{
    MPI_File file = begin();

    static const struct {
        int block, rounds;
    } cases[] = {
        {1, 3},      {1, 20000}, /* many small runs, several windows */
        {7, 5000},   {20000, 3}, /* long ones */
        {300000, 2},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        interleave(file, cases[i].block, cases[i].rounds);
        check_all(file, cases[i].block * cases[i].rounds * size);
    }
    end(&file);
}

static void
test_members_fill_one_file_through_their_views(void **state)
{
    (void)state;
    run(interleave_body);
}

/* Each member's part of a matrix. */
static void
subarray_body(void)
{
    MPI_File file = begin();
    int sizes[2] = {24, 24}, parts[2] = {24, 24 / size}, starts[2] = {0, rank * parts[1]};
    int values[24 * 24], count = parts[0] * parts[1];
    MPI_Datatype part;

    OK(MPI_Type_create_subarray(2, sizes, parts, starts, MPI_ORDER_C, MPI_INT, &part));
    OK(MPI_Type_commit(&part));
    OK(MPI_File_set_view(file, 0, MPI_INT, part, "native", MPI_INFO_NULL));
    OK(MPI_Type_free(&part)); /* the view keeps it */
    for (int i = 0; i < count; i++)
        values[i] = 24 * (i / parts[1]) + starts[1] + i % parts[1];
    OK(MPI_File_write_all(file, values, count, MPI_INT, MPI_STATUS_IGNORE));
    OK(MPI_Barrier(MPI_COMM_WORLD));
    memset(values, 0, sizeof(values));
    OK(MPI_File_read_at(file, 0, values, count, MPI_INT, MPI_STATUS_IGNORE));
    for (int i = 0; i < count; i++)
        CHECK(values[i] == 24 * (i / parts[1]) + starts[1] + i % parts[1]);
    OK(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL));
    OK(MPI_File_read_all(file, values, 24 * 24, MPI_INT, MPI_STATUS_IGNORE));
    for (int i = 0; i < 24 * 24; i++)
        CHECK(values[i] == i);
    end(&file);
}

static void
test_a_matrix_is_written_by_parts(void **state)
{
    (void)state;
    run(subarray_body);
}

static void
check_told(MPI_File file, MPI_Datatype type)
{
    MPI_Datatype etype, filetype;
    MPI_Aint lb, extent;
    MPI_Offset disp;
    char datarep[MPI_MAX_DATAREP_STRING];

    OK(MPI_File_get_view(file, &disp, &etype, &filetype, datarep));
    CHECK(disp == 0 && etype == MPI_BYTE && filetype == MPI_BYTE && !strcmp(datarep, "native"));
    OK(MPI_File_set_view(file, 4, MPI_INT, type, "internal", MPI_INFO_NULL));
    OK(MPI_File_get_view(file, &disp, &etype, &filetype, datarep));
    CHECK(disp == 4 && etype == MPI_INT && !strcmp(datarep, "internal"));
    OK(MPI_Type_get_extent(filetype, &lb, &extent));
    CHECK(extent == 2 * size * INT_BYTES);
    OK(MPI_Type_free(&filetype));
}

#define VIEW(disp, etype, filetype, datarep) \
    MPI_File_set_view(file, disp, etype, filetype, datarep, MPI_INFO_NULL)

static void
check_refused(MPI_File file, MPI_Datatype type)
{
    MPI_Datatype back, two;
    int lengths[2] = {1, 1}, descending[2] = {1, 0}, value = 0;

    OK(MPI_Type_indexed(2, lengths, descending, MPI_INT, &back));
    OK(MPI_Type_commit(&back));
    OK(MPI_Type_contiguous(2, MPI_INT, &two));
    REFUSED(VIEW(0, MPI_INT, back, "native"), MPI_ERR_IO);
    REFUSED(VIEW(0, MPI_INT, two, "native"), MPI_ERR_TYPE); /* not committed */
    REFUSED(VIEW(0, MPI_DATATYPE_NULL, type, "native"), MPI_ERR_TYPE);
    REFUSED(VIEW(-7, MPI_INT, type, "native"), MPI_ERR_ARG);
    REFUSED(VIEW(MPI_DISPLACEMENT_CURRENT, MPI_INT, type, "native"), MPI_ERR_ARG);
    REFUSED(VIEW(0, MPI_INT, MPI_BYTE, "native"), MPI_ERR_ARG);
    REFUSED(VIEW(0, MPI_INT, type, "unheard of"), MPI_ERR_UNSUPPORTED_DATAREP);
    REFUSED(VIEW(0, rank == 0 ? MPI_BYTE : MPI_INT, MPI_INT, "native"),
            size > 1 ? MPI_ERR_NOT_SAME : MPI_SUCCESS);
    OK(VIEW(4, MPI_INT, type, "native"));
    REFUSED(MPI_File_write(file, &value, 1, MPI_BYTE, MPI_STATUS_IGNORE), MPI_ERR_ARG);
    OK(MPI_Type_free(&two));
    OK(MPI_Type_free(&back));
}

static void
check_empty(MPI_File file)
{
    MPI_Datatype none;
    MPI_Status status;
    int value = 0;

    OK(MPI_Type_contiguous(0, MPI_INT, &none));
    OK(MPI_Type_commit(&none));
    OK(VIEW(0, MPI_INT, none, "native"));
    REFUSED(MPI_File_write(file, &value, 1, MPI_INT, &status), MPI_ERR_ARG);
    OK(MPI_File_write(file, &value, 0, MPI_INT, &status));
    OK(MPI_File_read(file, &value, 1, MPI_INT, &status));
    check_count(&status, MPI_INT, 0);
    OK(MPI_Type_free(&none));
}

static void
query_body(void)
{
    MPI_File file = begin();
    MPI_Datatype type = share_of(2);

    check_told(file, type);
    check_refused(file, type);
    check_empty(file);
    OK(MPI_Type_free(&type));
    end(&file);
}

static void
test_views_are_told_and_wrong_ones_are_refused(void **state)
{
    (void)state;
    run(query_body);
}

/* ------------------------------------------------------------------- representations */

static void
check_file(MPI_File file, MPI_Offset at, const char *expected, int bytes)
{
    char found[64];

    OK(MPI_File_set_view(file, 0, MPI_BYTE, MPI_BYTE, "native", MPI_INFO_NULL));
    OK(MPI_File_read_at(file, at, found, bytes, MPI_BYTE, MPI_STATUS_IGNORE));
    CHECK(memcmp(found, expected, (size_t)bytes) == 0);
    OK(MPI_Barrier(MPI_COMM_WORLD));
}

/* A long has 4 bytes in external32, whatever it has here. */
static void
external_body(void)
{
    MPI_File file = begin();
    MPI_Datatype second;
    MPI_Aint extent;
    MPI_Status status;
    long values[3] = {1, -2, 0x01020304}, got[3] = {9, 9, 9};

    OK(MPI_Type_vector(2, 1, 2, MPI_LONG, &second));
    OK(MPI_Type_commit(&second));
    OK(MPI_File_set_view(file, 0, MPI_LONG, second, "external32", MPI_INFO_NULL));
    OK(MPI_File_get_type_extent(file, MPI_LONG, &extent));
    CHECK(extent == 4);
    OK(MPI_File_get_type_extent(file, second, &extent));
    CHECK(extent == 12);
    OK(MPI_File_write(file, values, 3, MPI_LONG, &status)); /* at 0, 8 and 12 */
    check_count(&status, MPI_LONG, 3);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    check_file(file, 0, "\0\0\0\1\0\0\0\0\377\377\377\376\1\2\3\4", 16);
    OK(MPI_File_set_view(file, 0, MPI_LONG, second, "external32", MPI_INFO_NULL));
    OK(MPI_File_read(file, got, 3, MPI_LONG, &status));
    CHECK(memcmp(values, got, sizeof(got)) == 0);
    OK(MPI_File_read_at(file, 1, got, 3, MPI_LONG, &status));
    check_count(&status, MPI_LONG, 2);
    CHECK(got[0] == -2 && got[1] == 0x01020304 && got[2] == 0x01020304);
    OK(MPI_Type_free(&second));
    end(&file);
}

static void
test_external32_is_the_same_everywhere(void **state)
{
    (void)state;
    run(external_body);
}

/* An int as a letter and three digits. */
static int
text_extent(MPI_Datatype type, MPI_Aint *extent, void *extra)
{
    (void)extra;
    *extent = 4;
    return type == MPI_INT ? MPI_SUCCESS : MPI_ERR_TYPE;
}

static int
text_write(void *user, MPI_Datatype type, int count, void *bytes, MPI_Offset position, void *extra)
{
    char *text = bytes;

    (void)type;
    for (int i = 0; i < count; i++) {
        int value = ((int *)user)[position + i];

        text[4 * i] = *(char *)extra;
        text[4 * i + 1] = (char)('0' + value / 100);
        text[4 * i + 2] = (char)('0' + value / 10 % 10);
        text[4 * i + 3] = (char)('0' + value % 10);
    }
    return MPI_SUCCESS;
}

static int
text_read(void *user, MPI_Datatype type, int count, void *bytes, MPI_Offset position, void *extra)
{
    const char *text = bytes;

    (void)type;
    for (int i = 0; i < count; i++) {
        if (text[4 * i] != *(char *)extra)
            return MPI_ERR_OTHER;
        ((int *)user)[position + i] =
            100 * (text[4 * i + 1] - '0') + 10 * (text[4 * i + 2] - '0') + text[4 * i + 3] - '0';
    }
    return MPI_SUCCESS;
}

static void
user_body(void)
{
    MPI_File file = begin();
    MPI_Status status;
    char letter[] = "x";
    int values[3] = {7, 42, 999}, got[3] = {0};
    double other = 1;

    OK(MPI_Register_datarep("text", text_read, text_write, text_extent, letter));
    REFUSED(MPI_Register_datarep("text", text_read, text_write, text_extent, letter),
            MPI_ERR_DUP_DATAREP);
    REFUSED(MPI_Register_datarep("native", text_read, text_write, text_extent, letter),
            MPI_ERR_DUP_DATAREP);
    REFUSED(MPI_Register_datarep("", text_read, text_write, text_extent, letter), MPI_ERR_ARG);
    REFUSED(MPI_Register_datarep("half", text_read, text_write, NULL, letter), MPI_ERR_ARG);
    OK(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "text", MPI_INFO_NULL));
    OK(MPI_File_write_at(file, 3 * rank, values, 3, MPI_INT, &status));
    check_count(&status, MPI_INT, 3);
    REFUSED(MPI_File_write_at(file, 0, &other, 1, MPI_DOUBLE, &status), MPI_ERR_CONVERSION);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    check_file(file, 12 * rank, "x007x042x999", 12);
    OK(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "text", MPI_INFO_NULL));
    OK(MPI_File_read_at(file, 3 * size - 2, got, 3, MPI_INT, &status));
    check_count(&status, MPI_INT, 2);
    CHECK(got[0] == 42 && got[1] == 999 && got[2] == 0);
    letter[0] = 'y';
    REFUSED(MPI_File_read_at(file, 0, got, 3, MPI_INT, &status), MPI_ERR_CONVERSION);
    end(&file);
}

static void
test_the_program_may_have_its_own_representation(void **state)
{
    (void)state;
    run(user_body);
}

static int
enter(void **state)
{
    static char directory[] = "/tmp/weft-view-XXXXXX";

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
        cmocka_unit_test(test_members_fill_one_file_through_their_views),
        cmocka_unit_test(test_a_matrix_is_written_by_parts),
        cmocka_unit_test(test_views_are_told_and_wrong_ones_are_refused),
        cmocka_unit_test(test_external32_is_the_same_everywhere),
        cmocka_unit_test(test_the_program_may_have_its_own_representation),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
