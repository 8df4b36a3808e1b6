/* SPDX-License-Identifier: Apache-2.0
 *
 * Files (MPI 3.1, chapter 13). Run with a directory of its own.
 */
#include "check.h"

#define NAME  "files.tmp"
#define BOTH  (MPI_MODE_RDWR | MPI_MODE_CREATE)
#define COUNT 100

static MPI_File
make(int amode)
{
    MPI_File file;

    OK(MPI_File_open(MPI_COMM_WORLD, NAME, amode, MPI_INFO_NULL, &file));
    return file;
}

/* Open, new and empty; gone when it is closed. */
static MPI_File
make_new(void)
{
    MPI_File file = make(BOTH | MPI_MODE_DELETE_ON_CLOSE);

    OK(MPI_File_set_size(file, 0));
    return file;
}

static void
check_count(MPI_Status *status, int expected)
{
    int count = -1;

    OK(MPI_Get_count(status, MPI_INT, &count));
    CHECK(count == expected);
}

static void
fill(int *values, int count, int first)
{
    for (int i = 0; i < count; i++)
        values[i] = first + i;
}

static int
is_filled(const int *values, int count, int first)
{
    for (int i = 0; i < count; i++)
        if (values[i] != first + i)
            return 0;
    return 1;
}

/* ---------------------------------------------------------------------------- life */

static void
check_open(void)
{
    MPI_File file;
    MPI_Group group;
    MPI_Offset bytes;
    int amode, members;

    REFUSED(MPI_File_open(MPI_COMM_WORLD, NAME, MPI_MODE_RDONLY, MPI_INFO_NULL, &file),
            MPI_ERR_NO_SUCH_FILE);
    file = make(BOTH | MPI_MODE_EXCL);
    OK(MPI_File_get_amode(file, &amode));
    CHECK(amode == (BOTH | MPI_MODE_EXCL));
    OK(MPI_File_get_group(file, &group));
    OK(MPI_Group_size(group, &members));
    CHECK(members == size);
    OK(MPI_Group_free(&group));
    OK(MPI_File_get_size(file, &bytes));
    CHECK(bytes == 0);
    OK(MPI_File_set_size(file, 1000));
    OK(MPI_File_preallocate(file, 500));
    OK(MPI_File_get_size(file, &bytes));
    CHECK(bytes == 1000);
    OK(MPI_File_preallocate(file, 2000));
    OK(MPI_File_get_size(file, &bytes));
    CHECK(bytes == 2000);
    REFUSED(MPI_File_set_size(file, -1), MPI_ERR_ARG);
    OK(MPI_File_close(&file));
    CHECK(file == MPI_FILE_NULL);
    REFUSED(MPI_File_open(MPI_COMM_WORLD, NAME, BOTH | MPI_MODE_EXCL, MPI_INFO_NULL, &file),
            MPI_ERR_FILE_EXISTS);
    file = make(MPI_MODE_RDONLY | MPI_MODE_DELETE_ON_CLOSE);
    REFUSED(MPI_File_set_size(file, 1), MPI_ERR_READ_ONLY);
    OK(MPI_File_close(&file));
    REFUSED(MPI_File_delete(NAME, MPI_INFO_NULL), MPI_ERR_NO_SUCH_FILE);
}

static void
check_open_misuse(void)
{
    const int wrong[] = {0, MPI_MODE_RDONLY | MPI_MODE_WRONLY, MPI_MODE_RDONLY | MPI_MODE_CREATE,
                         MPI_MODE_RDONLY | MPI_MODE_EXCL, MPI_MODE_RDWR | MPI_MODE_SEQUENTIAL};
    MPI_File file = MPI_FILE_NULL;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        REFUSED(MPI_File_open(MPI_COMM_WORLD, NAME, wrong[i], MPI_INFO_NULL, &file), MPI_ERR_AMODE);
    REFUSED(MPI_File_open(MPI_COMM_NULL, NAME, BOTH, MPI_INFO_NULL, &file), MPI_ERR_COMM);
    REFUSED(MPI_File_open(MPI_COMM_WORLD, "", BOTH, MPI_INFO_NULL, &file), MPI_ERR_BAD_FILE);
    REFUSED(MPI_File_open(MPI_COMM_WORLD, NAME, BOTH, MPI_INFO_NULL, NULL), MPI_ERR_ARG);
    REFUSED(MPI_File_open(MPI_COMM_WORLD, NAME "/in", BOTH, MPI_INFO_NULL, &file),
            MPI_ERR_NO_SUCH_FILE);
    if (size > 1) { /* one is wrong: all hear of it */
        int code = MPI_File_open(MPI_COMM_WORLD, NAME, rank == 0 ? BOTH : BOTH | MPI_MODE_APPEND,
                                 MPI_INFO_NULL, &file);

        REFUSED(code, MPI_ERR_NOT_SAME);
        code =
            MPI_File_open(MPI_COMM_WORLD, NAME, rank == size - 1 ? 0 : BOTH, MPI_INFO_NULL, &file);
        REFUSED(code, MPI_ERR_AMODE);
    }
    REFUSED(MPI_File_close(&file), MPI_ERR_FILE);
    REFUSED(MPI_File_delete("", MPI_INFO_NULL), MPI_ERR_BAD_FILE);
}

/* The memory of this rank has grown since it last told anybody. */
static void
check_alone(void)
{
    char *grown = malloc(4 << 20), name[32];
    MPI_Offset at = -1;
    MPI_File file;
    int value = rank, got = -1;

    CHECK(grown != NULL);
    memset(grown, 1, 4 << 20);
    snprintf(name, sizeof(name), "files.%d", rank);
    OK(MPI_File_open(MPI_COMM_SELF, name, BOTH | MPI_MODE_DELETE_ON_CLOSE, MPI_INFO_NULL, &file));
    OK(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL));
    OK(MPI_File_write_shared(file, &value, 1, MPI_INT, MPI_STATUS_IGNORE));
    OK(MPI_File_get_position_shared(file, &at));
    CHECK(at == 1);
    OK(MPI_File_read_at(file, 0, &got, 1, MPI_INT, MPI_STATUS_IGNORE));
    CHECK(got == rank);
    OK(MPI_File_close(&file));
    free(grown);
}

/* ------------------------------------------------------------------- individual access */

static void
check_past_the_end(MPI_File file)
{
    MPI_Offset at;
    MPI_Request request;
    MPI_Status status;
    int got[COUNT];

    at = ((MPI_Offset)size * COUNT - 3) * (MPI_Offset)sizeof(int);
    OK(MPI_File_read_at(file, at, got, COUNT, MPI_INT, &status));
    check_count(&status, 3);
    OK(MPI_File_read_at(file, at + 1000, got, COUNT, MPI_INT, &status));
    check_count(&status, 0);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_File_iwrite_at(file, at, got, 0, MPI_INT, &request));
    OK(MPI_Wait(&request, &status));
    OK(MPI_File_iwrite_at_all(file, at, got, 0, MPI_INT, &request));
    OK(MPI_Wait(&request, &status));
    REFUSED(MPI_File_read_at(file, -1, got, 1, MPI_INT, &status), MPI_ERR_ARG);
    REFUSED(MPI_File_read_at(file, 0, got, -1, MPI_INT, &status), MPI_ERR_COUNT);
    REFUSED(MPI_File_read_at(file, 0, got, 1, MPI_DATATYPE_NULL, &status), MPI_ERR_TYPE);
    REFUSED(MPI_File_read_at(MPI_FILE_NULL, 0, got, 1, MPI_INT, &status), MPI_ERR_FILE);
    REFUSED(MPI_File_iread_at(file, 0, got, 1, MPI_INT, NULL), MPI_ERR_ARG);
}

static void
check_explicit(void)
{
    MPI_File file = make_new();
    MPI_Offset at = (MPI_Offset)rank * COUNT * (MPI_Offset)sizeof(int);
    MPI_Request request;
    MPI_Status status;
    int values[COUNT], got[COUNT] = {0};

    fill(values, COUNT, rank * COUNT);
    OK(MPI_File_write_at(file, at, values, COUNT, MPI_INT, &status));
    check_count(&status, COUNT);
    OK(MPI_File_read_at(file, at, got, COUNT, MPI_INT, &status));
    CHECK(is_filled(got, COUNT, rank * COUNT));
    OK(MPI_File_write_at_all(file, at, values, COUNT, MPI_INT, &status));
    OK(MPI_File_sync(file));
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_File_sync(file));
    at = (MPI_Offset)((rank + 1) % size) * COUNT * (MPI_Offset)sizeof(int);
    OK(MPI_File_read_at_all(file, at, got, COUNT, MPI_INT, &status));
    CHECK(is_filled(got, COUNT, (rank + 1) % size * COUNT));
    OK(MPI_File_iread_at(file, at, got, COUNT, MPI_INT, &request));
    OK(MPI_Wait(&request, &status));
    check_count(&status, COUNT);
    OK(MPI_File_iread_at_all(file, at, got, 0, MPI_INT, &request));
    OK(MPI_Wait(&request, &status));
    check_count(&status, 0);
    check_past_the_end(file);
    OK(MPI_File_close(&file));
}

/* One of five forms that have a pointer of their own. */
static void
write_by(int form, MPI_File file, const int *values, MPI_Status *status)
{
    MPI_Request request;

    if (form == 0) {
        OK(MPI_File_write(file, values, COUNT, MPI_INT, status));
    } else if (form == 1) {
        OK(MPI_File_write_all(file, values, COUNT, MPI_INT, status));
    } else if (form == 2) {
        OK(MPI_File_write_all_begin(file, values, COUNT, MPI_INT));
        OK(MPI_File_write_all_end(file, values, status));
    } else {
        OK((form == 3 ? MPI_File_iwrite : MPI_File_iwrite_all)(file, values, COUNT, MPI_INT,
                                                               &request));
        OK(MPI_Wait(&request, status));
    }
}

static void
read_by(int form, MPI_File file, int *got, MPI_Status *status)
{
    MPI_Request request;

    if (form == 0) {
        OK(MPI_File_read(file, got, COUNT, MPI_INT, status));
    } else if (form == 1) {
        OK(MPI_File_read_all(file, got, COUNT, MPI_INT, status));
    } else if (form == 2) {
        OK(MPI_File_read_all_begin(file, got, COUNT, MPI_INT));
        OK(MPI_File_read_all_end(file, got, status));
    } else {
        OK((form == 3 ? MPI_File_iread : MPI_File_iread_all)(file, got, COUNT, MPI_INT, &request));
        OK(MPI_Wait(&request, status));
    }
}

static void
check_seeks(MPI_File file)
{
    MPI_Offset at, again;

    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_File_seek(file, -1, MPI_SEEK_END));
    OK(MPI_File_get_position(file, &at));
    CHECK(at == (MPI_Offset)size * 5 * COUNT - 1);
    REFUSED(MPI_File_seek(file, -at - 1, MPI_SEEK_CUR), MPI_ERR_ARG);
    REFUSED(MPI_File_seek(file, 0, 77), MPI_ERR_ARG);
    REFUSED(MPI_File_seek(MPI_FILE_NULL, 0, MPI_SEEK_SET), MPI_ERR_FILE);
    OK(MPI_File_get_position(file, &again));
    CHECK(again == at); /* as it was */
}

/* Each rank's own part, by each form. */
static void
check_pointer(void)
{
    MPI_File file = make_new();
    MPI_Offset first = (MPI_Offset)rank * 5 * COUNT, at;
    MPI_Status status;
    int values[COUNT], got[COUNT];

    OK(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL));
    OK(MPI_File_seek(file, first, MPI_SEEK_SET));
    for (int form = 0; form < 5; form++) {
        fill(values, COUNT, form * COUNT + rank);
        write_by(form, file, values, &status);
        check_count(&status, COUNT);
        OK(MPI_File_get_position(file, &at));
        CHECK(at == first + (form + 1) * COUNT);
    }
    OK(MPI_File_seek(file, -5 * COUNT, MPI_SEEK_CUR));
    for (int form = 0; form < 5; form++) {
        memset(got, 0, sizeof(got));
        read_by(form, file, got, &status);
        check_count(&status, COUNT);
        CHECK(is_filled(got, COUNT, form * COUNT + rank));
    }
    check_seeks(file);
    OK(MPI_File_close(&file));
}

/* ---------------------------------------------------------------------- split collectives */

static void
check_split(void)
{
    MPI_File file = make_new(), same = file;
    MPI_Status status;
    MPI_Offset at = (MPI_Offset)rank * (MPI_Offset)sizeof(int);
    int value = rank, got = -1;

    OK(MPI_File_write_at_all_begin(file, at, &value, 1, MPI_INT));
    REFUSED(MPI_File_write_at_all_begin(file, at, &value, 1, MPI_INT), MPI_ERR_OTHER);
    REFUSED(MPI_File_read_all_end(file, &got, &status), MPI_ERR_OTHER);
    REFUSED(MPI_File_close(&same), MPI_ERR_OTHER);
    OK(MPI_File_write_at_all_end(file, &value, &status));
    check_count(&status, 1);
    REFUSED(MPI_File_write_at_all_end(file, &value, &status), MPI_ERR_OTHER);
    OK(MPI_File_read_at_all_begin(file, at, &got, 1, MPI_INT));
    OK(MPI_File_read_at_all_end(file, &got, MPI_STATUS_IGNORE));
    CHECK(got == rank);
    OK(MPI_File_seek_shared(file, 0, MPI_SEEK_SET));
    OK(MPI_File_write_ordered_begin(file, &value, 1, MPI_INT));
    OK(MPI_File_write_ordered_end(file, &value, &status));
    check_count(&status, 1);
    OK(MPI_File_seek_shared(file, 0, MPI_SEEK_SET));
    OK(MPI_File_read_ordered_begin(file, &got, 1, MPI_INT));
    OK(MPI_File_read_ordered_end(file, &got, &status));
    CHECK(got == rank);
    OK(MPI_File_close(&file));
}

/* ---------------------------------------------------------------------- shared pointer */

static void
check_shared(void)
{
    MPI_File file = make_new();
    MPI_Offset at = -1;
    MPI_Request request;
    int value = rank, got, *seen = calloc((size_t)size, sizeof(int));

    OK(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL));
    for (int round = 0; round < 4; round++)
        OK(MPI_File_write_shared(file, &value, 1, MPI_INT, MPI_STATUS_IGNORE));
    OK(MPI_File_iwrite_shared(file, &value, 1, MPI_INT, &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_File_get_position_shared(file, &at));
    CHECK(at == 5 * size);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    /* Each rank's are there as often as it wrote. */
    for (int i = 0; i < 5 * size; i++) {
        OK(MPI_File_read_at(file, i, &got, 1, MPI_INT, MPI_STATUS_IGNORE));
        CHECK(got >= 0 && got < size);
        seen[got]++;
    }
    for (int i = 0; i < size; i++)
        CHECK(seen[i] == 5);
    free(seen);
    OK(MPI_File_seek_shared(file, 0, MPI_SEEK_SET));
    OK(MPI_File_read_shared(file, &got, 1, MPI_INT, MPI_STATUS_IGNORE));
    OK(MPI_File_iread_shared(file, &got, 1, MPI_INT, &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_File_get_position_shared(file, &at));
    CHECK(at == 2 * size);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    REFUSED(MPI_File_seek_shared(file, -1, MPI_SEEK_SET), MPI_ERR_ARG);
    if (size > 1)
        REFUSED(MPI_File_seek_shared(file, rank == 0, MPI_SEEK_SET), MPI_ERR_NOT_SAME);
    OK(MPI_File_close(&file));
}

/* Rank r writes r + 1 numbers, in the order of ranks. */
static void
check_ordered(void)
{
    MPI_File file = make_new();
    MPI_Status status;
    int first = rank * (rank + 1) / 2, values[32], got[32];

    OK(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL));
    fill(values, rank + 1, first);
    OK(MPI_File_write_ordered(file, values, rank + 1, MPI_INT, &status));
    check_count(&status, rank + 1);
    OK(MPI_File_seek_shared(file, 0, MPI_SEEK_SET));
    OK(MPI_File_read_ordered(file, got, rank + 1, MPI_INT, &status));
    CHECK(is_filled(got, rank + 1, first));
    OK(MPI_File_seek_shared(file, 0, MPI_SEEK_SET));
    OK(MPI_File_read_ordered(file, got, 1, MPI_INT, &status));
    CHECK(got[0] == rank);
    OK(MPI_File_close(&file));
}

/* ----------------------------------------------------------------------------- views */

/* pair is not committed; mine is no part of a number. */
static void
refuse_views(MPI_File file, MPI_Datatype pair, MPI_Datatype mine)
{
    MPI_Offset where;

    REFUSED(MPI_File_set_view(file, -1, MPI_INT, MPI_INT, "native", MPI_INFO_NULL), MPI_ERR_ARG);
    REFUSED(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "no such", MPI_INFO_NULL),
            MPI_ERR_UNSUPPORTED_DATAREP);
    REFUSED(MPI_File_set_view(file, 0, MPI_DATATYPE_NULL, MPI_INT, "native", MPI_INFO_NULL),
            MPI_ERR_TYPE);
    REFUSED(MPI_File_set_view(file, 0, MPI_INT, pair, "native", MPI_INFO_NULL), MPI_ERR_TYPE);
    REFUSED(MPI_File_set_view(file, 0, mine, MPI_INT, "native", MPI_INFO_NULL), MPI_ERR_ARG);
    REFUSED(MPI_File_get_byte_offset(file, -1, &where), MPI_ERR_ARG);
}

/* Pairs of all ranks in turn, after `skip` numbers. */
static void
check_layout(MPI_File file, int skip)
{
    int got[2];

    OK(MPI_File_sync(file));
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_File_sync(file));
    OK(MPI_File_set_view(file, skip * (MPI_Offset)sizeof(int), MPI_INT, MPI_INT, "native",
                         MPI_INFO_NULL));
    for (int r = 0; r < size; r++) {
        OK(MPI_File_read_at(file, 2 * (size + r), got, 2, MPI_INT, MPI_STATUS_IGNORE));
        CHECK(is_filled(got, 2, 1000 * r + 2));
    }
}

/* Each rank has each size-th pair of numbers, from `skip` numbers on. */
static void
check_views(void)
{
    enum { SKIP = 3, PAIRS = 20 };
    MPI_File file = make_new();
    MPI_Datatype pair, mine, etype, filetype;
    MPI_Offset where;
    MPI_Status status;
    MPI_Aint extent;
    char name[MPI_MAX_DATAREP_STRING];
    int values[2 * PAIRS], got[2 * PAIRS];

    OK(MPI_Type_contiguous(2, MPI_INT, &pair));
    OK(MPI_Type_create_resized(pair, 0, (MPI_Aint)size * 2 * (MPI_Aint)sizeof(int), &mine));
    OK(MPI_Type_commit(&mine));
    where = (MPI_Offset)(SKIP + 2 * rank) * (MPI_Offset)sizeof(int);
    OK(MPI_File_set_view(file, where, MPI_INT, mine, "native", MPI_INFO_NULL));
    fill(values, 2 * PAIRS, 1000 * rank);
    OK(MPI_File_write_all(file, values, 2 * PAIRS, MPI_INT, &status));
    check_count(&status, 2 * PAIRS);
    OK(MPI_File_seek(file, 3, MPI_SEEK_SET)); /* within a pair */
    OK(MPI_File_read_all(file, got, 5, MPI_INT, &status));
    CHECK(is_filled(got, 5, 1000 * rank + 3));
    OK(MPI_File_get_byte_offset(file, 3, &where));
    CHECK(where == (MPI_Offset)(SKIP + 2 * rank + 2 * size + 1) * (MPI_Offset)sizeof(int));
    OK(MPI_File_get_view(file, &where, &etype, &filetype, name));
    CHECK(where == (MPI_Offset)(SKIP + 2 * rank) * (MPI_Offset)sizeof(int));
    CHECK(etype == MPI_INT && strcmp(name, "native") == 0);
    OK(MPI_Type_free(&filetype));
    OK(MPI_File_get_type_extent(file, MPI_INT, &extent));
    CHECK(extent == sizeof(int));
    check_layout(file, SKIP);
    refuse_views(file, pair, mine);
    OK(MPI_Type_free(&pair));
    OK(MPI_Type_free(&mine));
    OK(MPI_File_close(&file));
}

/* Small pieces of all ranks in one another's gaps, written from memory with gaps. */
static void
check_interleaved(void)
{
    enum { PIECES = 500 };
    MPI_File file = make_new();
    MPI_Datatype each, second;
    int *values = calloc(2 * PIECES, sizeof(int)), *got = calloc(PIECES * 16, sizeof(int));

    OK(MPI_Type_vector(PIECES, 1, size, MPI_INT, &each));
    OK(MPI_Type_commit(&each));
    OK(MPI_Type_vector(PIECES, 1, 2, MPI_INT, &second));
    OK(MPI_Type_commit(&second));
    for (int i = 0; i < PIECES; i++)
        values[2 * i] = i * size + rank;
    OK(MPI_File_set_view(file, rank * (MPI_Offset)sizeof(int), MPI_INT, each, "native",
                         MPI_INFO_NULL));
    OK(MPI_File_write_all(file, values, 1, second, MPI_STATUS_IGNORE));
    OK(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL));
    OK(MPI_File_read_all(file, got, PIECES * size, MPI_INT, MPI_STATUS_IGNORE));
    CHECK(is_filled(got, PIECES * size, 0));
    free(values);
    free(got);
    OK(MPI_Type_free(&each));
    OK(MPI_Type_free(&second));
    OK(MPI_File_close(&file));
}

/* ------------------------------------------------------------------ data representations */

static int
extent_of_int(MPI_Datatype type, MPI_Aint *extent, void *extra)
{
    (void)type;
    (void)extra;
    *extent = 2;
    return MPI_SUCCESS;
}

/* Two bytes for a number. */
static int
widen(void *to, MPI_Datatype type, int count, void *from, MPI_Offset position, void *extra)
{
    (void)type;
    (void)extra;
    for (int i = 0; i < count; i++)
        ((int *)to)[position + i] = ((short *)from)[i];
    return MPI_SUCCESS;
}

static int
narrow(void *from, MPI_Datatype type, int count, void *to, MPI_Offset position, void *extra)
{
    (void)type;
    (void)extra;
    for (int i = 0; i < count; i++)
        ((short *)to)[i] = (short)((int *)from)[position + i];
    return MPI_SUCCESS;
}

static void
check_representations(void)
{
    MPI_File file = make_new();
    MPI_Offset bytes;
    unsigned char raw[4];
    int value = 0x01020304, values[3] = {5, -6, 7}, got[3] = {0};

    OK(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "external32", MPI_INFO_NULL));
    OK(MPI_File_write_at(file, rank, &value, 1, MPI_INT, MPI_STATUS_IGNORE));
    OK(MPI_File_read_at(file, rank, got, 1, MPI_INT, MPI_STATUS_IGNORE));
    CHECK(got[0] == value);
    OK(MPI_File_set_view(file, 4 * rank, MPI_BYTE, MPI_BYTE, "internal", MPI_INFO_NULL));
    OK(MPI_File_read(file, raw, 4, MPI_BYTE, MPI_STATUS_IGNORE));
    CHECK(raw[0] == 1 && raw[1] == 2 && raw[2] == 3 && raw[3] == 4);
    OK(MPI_Register_datarep("two bytes", widen, narrow, extent_of_int, NULL));
    REFUSED(MPI_Register_datarep("two bytes", widen, narrow, extent_of_int, NULL),
            MPI_ERR_DUP_DATAREP);
    REFUSED(MPI_Register_datarep("native", widen, narrow, extent_of_int, NULL),
            MPI_ERR_DUP_DATAREP);
    OK(MPI_File_set_size(file, 0));
    OK(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "two bytes", MPI_INFO_NULL));
    OK(MPI_File_write_at_all(file, 3 * rank, values, 3, MPI_INT, MPI_STATUS_IGNORE));
    OK(MPI_File_read_at_all(file, 3 * rank, got, 3, MPI_INT, MPI_STATUS_IGNORE));
    CHECK(memcmp(got, values, sizeof(got)) == 0);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_File_get_size(file, &bytes));
    CHECK(bytes == 6 * size);
    OK(MPI_File_close(&file));
}

/* --------------------------------------------------------------------------- modes */

static void
check_modes(void)
{
    MPI_File file = make(MPI_MODE_WRONLY | MPI_MODE_CREATE);
    MPI_Offset at;
    MPI_Status status;
    int value = rank, got;

    OK(MPI_File_write_at(file, (MPI_Offset)(rank * sizeof(int)), &value, 1, MPI_INT, &status));
    REFUSED(MPI_File_read_at(file, 0, &got, 1, MPI_INT, &status), MPI_ERR_ACCESS);
    OK(MPI_File_close(&file));
    file = make(MPI_MODE_RDONLY);
    REFUSED(MPI_File_write(file, &value, 1, MPI_INT, &status), MPI_ERR_READ_ONLY);
    REFUSED(MPI_File_write_all(file, &value, 1, MPI_INT, &status), MPI_ERR_READ_ONLY);
    REFUSED(MPI_File_write_ordered(file, &value, 1, MPI_INT, &status), MPI_ERR_READ_ONLY);
    REFUSED(MPI_File_preallocate(file, 1), MPI_ERR_READ_ONLY);
    OK(MPI_File_close(&file));
    file = make(MPI_MODE_RDWR | MPI_MODE_APPEND);
    OK(MPI_File_get_position(file, &at));
    CHECK(at == (MPI_Offset)(size * sizeof(int)));
    OK(MPI_File_get_position_shared(file, &at));
    CHECK(at == (MPI_Offset)(size * sizeof(int)));
    OK(MPI_File_close(&file));
    file = make(MPI_MODE_RDONLY | MPI_MODE_SEQUENTIAL | MPI_MODE_DELETE_ON_CLOSE);
    REFUSED(MPI_File_read_at(file, 0, &got, 1, MPI_INT, &status), MPI_ERR_UNSUPPORTED_OPERATION);
    REFUSED(MPI_File_read(file, &got, 1, MPI_INT, &status), MPI_ERR_UNSUPPORTED_OPERATION);
    REFUSED(MPI_File_seek(file, 0, MPI_SEEK_SET), MPI_ERR_UNSUPPORTED_OPERATION);
    REFUSED(MPI_File_get_position(file, &at), MPI_ERR_UNSUPPORTED_OPERATION);
    OK(MPI_File_read_ordered(file, &got, 1, MPI_INT, &status));
    CHECK(got == rank);
    OK(MPI_File_close(&file));
}

/* What is written at once is read at once: never a part of one's and a part of another's. */
static void
check_atomic(void)
{
    MPI_File file = make_new();
    MPI_Datatype second;
    int values[COUNT], got[COUNT] = {0}, is_atomic = 1;

    OK(MPI_File_get_atomicity(file, &is_atomic));
    CHECK(!is_atomic);
    OK(MPI_File_set_atomicity(file, 1));
    OK(MPI_File_get_atomicity(file, &is_atomic));
    CHECK(is_atomic);
    if (size > 1)
        REFUSED(MPI_File_set_atomicity(file, rank == 0), MPI_ERR_NOT_SAME);
    OK(MPI_Type_vector(COUNT, 1, 2, MPI_INT, &second));
    OK(MPI_Type_commit(&second));
    OK(MPI_File_set_view(file, 0, MPI_INT, second, "native", MPI_INFO_NULL));
    for (int i = 0; i < COUNT; i++)
        values[i] = rank;
    OK(MPI_File_write_at_all(file, 0, values, COUNT, MPI_INT, MPI_STATUS_IGNORE));
    for (int round = 0; round < 20; round++) {
        if ((round + rank) % 2 == 0) {
            OK(MPI_File_write_at(file, 0, values, COUNT, MPI_INT, MPI_STATUS_IGNORE));
        } else {
            OK(MPI_File_read_at(file, 0, got, COUNT, MPI_INT, MPI_STATUS_IGNORE));
            for (int i = 1; i < COUNT; i++)
                CHECK(got[i] == got[0]);
        }
    }
    OK(MPI_Type_free(&second));
    OK(MPI_File_close(&file));
}

/* ------------------------------------------------------------------- hints and handlers */

static int handled;

static void
handle(MPI_File *file, int *code, ...)
{
    (void)file;
    handled = *code;
}

static void
check_handlers(void)
{
    MPI_File file = make_new();
    MPI_Errhandler mine, before;
    MPI_Info info;
    char value[32] = "";
    int flag = 0;

    OK(MPI_File_get_errhandler(MPI_FILE_NULL, &before));
    CHECK(before == MPI_ERRORS_RETURN);
    OK(MPI_File_create_errhandler(handle, &mine));
    OK(MPI_File_set_errhandler(file, mine));
    (void)MPI_File_seek(file, -1, MPI_SEEK_SET);
    CHECK(handled == MPI_ERR_ARG);
    OK(MPI_File_call_errhandler(file, MPI_ERR_IO));
    CHECK(handled == MPI_ERR_IO);
    OK(MPI_File_set_errhandler(file, MPI_ERRORS_RETURN));
    OK(MPI_Errhandler_free(&mine));
    OK(MPI_Info_create(&info));
    OK(MPI_Info_set(info, "cb_nodes", "2"));
    OK(MPI_File_set_info(file, info));
    OK(MPI_Info_free(&info));
    OK(MPI_File_get_info(file, &info));
    OK(MPI_Info_get(info, "cb_nodes", 31, value, &flag));
    CHECK(flag && strcmp(value, "2") == 0);
    OK(MPI_Info_free(&info));
    OK(MPI_File_close(&file));
}

static void
check_null(void)
{
    MPI_File none = MPI_FILE_NULL;
    MPI_Offset offset;
    MPI_Group group;
    int value = 0;

    REFUSED(MPI_File_get_size(none, &offset), MPI_ERR_FILE);
    REFUSED(MPI_File_set_size(none, 0), MPI_ERR_FILE);
    REFUSED(MPI_File_get_group(none, &group), MPI_ERR_FILE);
    REFUSED(MPI_File_get_amode(none, &value), MPI_ERR_FILE);
    REFUSED(MPI_File_get_position(none, &offset), MPI_ERR_FILE);
    REFUSED(MPI_File_get_position_shared(none, &offset), MPI_ERR_FILE);
    REFUSED(MPI_File_sync(none), MPI_ERR_FILE);
    REFUSED(MPI_File_set_atomicity(none, 1), MPI_ERR_FILE);
    REFUSED(MPI_File_write_shared(none, &value, 1, MPI_INT, MPI_STATUS_IGNORE), MPI_ERR_FILE);
    REFUSED(MPI_File_write_all_begin(none, &value, 1, MPI_INT), MPI_ERR_FILE);
    REFUSED(MPI_File_write_all_end(none, &value, MPI_STATUS_IGNORE), MPI_ERR_FILE);
    REFUSED(MPI_File_close(NULL), MPI_ERR_ARG);
}

int
main(int argc, char **argv)
{
    begin(&argc, &argv);
    check_open();
    check_open_misuse();
    check_alone();
    check_explicit();
    check_pointer();
    check_split();
    check_shared();
    check_ordered();
    check_views();
    check_interleaved();
    check_representations();
    check_modes();
    check_atomic();
    check_handlers();
    check_null();
    return end();
}
