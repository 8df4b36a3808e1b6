/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "message.h"
#include "testing.h"

#define OK(call)             CHECK((call) == MPI_SUCCESS)
#define REFUSED(call, error) CHECK((call) == (error))

static void
start_tool(void)
{
    int provided = -1;

    OK(MPI_T_init_thread(MPI_THREAD_MULTIPLE, &provided));
    CHECK(provided == MPI_THREAD_MULTIPLE);
}

static int
pvar_named(const char *name, int var_class)
{
    int index = -1;

    OK(MPI_T_pvar_get_index(name, var_class, &index));
    return index;
}

/* ------------------------------------------------------------------------------- life */

static void
ask_too_early(void)
{
    MPI_T_pvar_session session = MPI_T_PVAR_SESSION_NULL;
    int number;

    REFUSED(MPI_T_finalize(), MPI_T_ERR_NOT_INITIALIZED);
    REFUSED(MPI_T_cvar_get_num(&number), MPI_T_ERR_NOT_INITIALIZED);
    REFUSED(MPI_T_pvar_get_num(&number), MPI_T_ERR_NOT_INITIALIZED);
    REFUSED(MPI_T_category_get_num(&number), MPI_T_ERR_NOT_INITIALIZED);
    REFUSED(MPI_T_category_changed(&number), MPI_T_ERR_NOT_INITIALIZED);
    REFUSED(MPI_T_pvar_session_create(&session), MPI_T_ERR_NOT_INITIALIZED);
    REFUSED(MPI_T_enum_get_info(MPI_T_ENUM_NULL, NULL, NULL, NULL), MPI_T_ERR_NOT_INITIALIZED);
}

static void
live(void)
{
    MPI_T_cvar_handle handle;
    int number = 0, count;

    ask_too_early();
    REFUSED(MPI_T_init_thread(MPI_THREAD_SINGLE, NULL), MPI_T_ERR_INVALID);
    start_tool();
    start_tool();
    OK(MPI_T_finalize());
    OK(MPI_T_cvar_get_num(&number));
    CHECK(number > 0);
    OK(MPI_T_cvar_handle_alloc(0, NULL, &handle, &count));
    OK(MPI_Init(NULL, NULL));
    OK(MPI_Finalize());
    OK(MPI_T_cvar_read(handle, &number));
    OK(MPI_T_finalize());
    ask_too_early();
    start_tool();
    REFUSED(MPI_T_cvar_read(handle, &number), MPI_T_ERR_INVALID_HANDLE); /* of the last time */
    OK(MPI_T_finalize());
}

static void
test_it_is_there_before_and_after_mpi_as_often_as_asked_for(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(1, live));
}

/* ------------------------------------------------------------------------------ strings */

static void
read_strings(void)
{
    char name[8], description[8] = "same";
    int length, full = 1, class = 0;

    OK(MPI_Init(NULL, NULL));
    start_tool();
    OK(MPI_T_cvar_get_info(0, NULL, &full, NULL, NULL, NULL, NULL, NULL, NULL, NULL));
    CHECK(full == (int)sizeof("eager_bytes"));
    length = 0;
    OK(MPI_T_cvar_get_info(0, name, &length, NULL, NULL, NULL, description, NULL, NULL, NULL));
    CHECK(length == full && strcmp(description, "same") == 0);
    length = 6;
    memset(name, 'z', sizeof(name));
    OK(MPI_T_cvar_get_info(0, name, &length, NULL, NULL, NULL, NULL, NULL, NULL, NULL));
    CHECK(length == full && strcmp(name, "eager") == 0 && name[6] == 'z');
    OK(MPI_T_finalize());
    OK(MPI_Error_class(MPI_T_ERR_INVALID_NAME, &class));
    CHECK(class == MPI_T_ERR_INVALID_NAME);
    OK(MPI_Finalize());
}

static void
test_a_string_is_cut_where_there_is_no_room_and_its_whole_length_told(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(1, read_strings));
}

/* -------------------------------------------------------------------- control variables */

static void
read_thread_level(int provided)
{
    MPI_T_cvar_handle handle;
    MPI_T_enum levels;
    MPI_Datatype type;
    int index = -1, value = -1, count = 0, scope, number, length = 32;
    char name[32];

    OK(MPI_T_cvar_get_index("thread_level", &index));
    OK(MPI_T_cvar_get_info(index, NULL, NULL, NULL, &type, &levels, NULL, NULL, NULL, &scope));
    CHECK(type == MPI_INT && levels != MPI_T_ENUM_NULL && scope == MPI_T_SCOPE_READONLY);
    OK(MPI_T_cvar_handle_alloc(index, NULL, &handle, &count));
    OK(MPI_T_cvar_read(handle, &value));
    CHECK(value == provided);
    OK(MPI_T_enum_get_info(levels, &number, name, &length));
    CHECK(number == 4 && strcmp(name, "thread_level") == 0);
    length = 32;
    OK(MPI_T_enum_get_item(levels, 2, &value, name, &length));
    CHECK(value == MPI_THREAD_SERIALIZED && strcmp(name, "MPI_THREAD_SERIALIZED") == 0);
    REFUSED(MPI_T_enum_get_item(levels, 4, &value, NULL, NULL), MPI_T_ERR_INVALID_ITEM);
    REFUSED(MPI_T_enum_get_item(MPI_T_ENUM_NULL, 0, &value, NULL, NULL), MPI_T_ERR_INVALID_HANDLE);
    OK(MPI_T_cvar_get_num(&number));
    REFUSED(MPI_T_cvar_get_info(number, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
            MPI_T_ERR_INVALID_INDEX);
    REFUSED(MPI_T_cvar_handle_alloc(-1, NULL, &handle, &count), MPI_T_ERR_INVALID_INDEX);
    REFUSED(MPI_T_cvar_get_index("no such", &index), MPI_T_ERR_INVALID_NAME);
}

static void
read_cvars(void)
{
    MPI_T_cvar_handle handle, wrong = (MPI_T_cvar_handle)(void *)&handle;
    int index = -1, value = -1, count = 0, provided;

    OK(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided));
    start_tool();
    OK(MPI_T_cvar_get_index("eager_bytes", &index));
    OK(MPI_T_cvar_handle_alloc(index, NULL, &handle, &count));
    CHECK(count == 1);
    OK(MPI_T_cvar_read(handle, &value));
    CHECK(value == (int)MPI_EAGER_BYTES);
    REFUSED(MPI_T_cvar_write(handle, &value), MPI_T_ERR_CVAR_SET_NEVER);
    REFUSED(MPI_T_cvar_read(handle, NULL), MPI_T_ERR_INVALID);
    OK(MPI_T_cvar_handle_free(&handle));
    CHECK(handle == MPI_T_CVAR_HANDLE_NULL);
    REFUSED(MPI_T_cvar_handle_free(&handle), MPI_T_ERR_INVALID_HANDLE);
    REFUSED(MPI_T_cvar_read(wrong, &value), MPI_T_ERR_INVALID_HANDLE);
    REFUSED(MPI_T_cvar_write(wrong, &value), MPI_T_ERR_INVALID_HANDLE);
    read_thread_level(provided);
    OK(MPI_T_finalize());
    OK(MPI_Finalize());
}

static void
test_control_variables_are_what_the_library_goes_by(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(2, read_cvars));
}

/* ---------------------------------------------------------------- performance variables */

/* Sends to itself what nobody receives yet. */
static void
send_unexpected(int count)
{
    MPI_Request request;

    for (int i = 0; i < count; i++) {
        OK(MPI_Isend(&i, 1, MPI_INT, 0, 7, MPI_COMM_SELF, &request));
        OK(MPI_Request_free(&request));
    }
}

static void
receive(int count)
{
    int value;

    for (int i = 0; i < count; i++)
        OK(MPI_Recv(&value, 1, MPI_INT, 0, 7, MPI_COMM_SELF, MPI_STATUS_IGNORE));
}

static unsigned long long
value_of(MPI_T_pvar_session session, MPI_T_pvar_handle handle)
{
    unsigned long long value = 99;

    OK(MPI_T_pvar_read(session, handle, &value));
    return value;
}

static MPI_T_pvar_handle
handle_of(MPI_T_pvar_session session, const char *name, int var_class)
{
    MPI_T_pvar_handle handle = MPI_T_PVAR_HANDLE_NULL;
    int count = 0;

    OK(MPI_T_pvar_handle_alloc(session, pvar_named(name, var_class), NULL, &handle, &count));
    CHECK(count == 1);
    return handle;
}

static void
count_messages(void)
{
    MPI_T_pvar_session session;
    MPI_T_pvar_handle kept, counter, other;
    unsigned long long value = 100;

    OK(MPI_Init(NULL, NULL));
    start_tool();
    OK(MPI_T_pvar_session_create(&session));
    kept = handle_of(session, "messages_kept", MPI_T_PVAR_CLASS_LEVEL);
    counter = handle_of(session, "messages_unexpected", MPI_T_PVAR_CLASS_COUNTER);
    other = handle_of(session, "messages_unexpected", MPI_T_PVAR_CLASS_COUNTER);
    send_unexpected(3);
    CHECK(value_of(session, kept) == 3 && value_of(session, counter) == 0);
    OK(MPI_T_pvar_start(session, MPI_T_PVAR_ALL_HANDLES));
    send_unexpected(2);
    CHECK(value_of(session, kept) == 5 && value_of(session, counter) == 2);
    OK(MPI_T_pvar_stop(session, counter));
    send_unexpected(1);
    CHECK(value_of(session, counter) == 2 && value_of(session, other) == 3);
    receive(6);
    CHECK(value_of(session, kept) == 0 && value_of(session, counter) == 2);
    OK(MPI_T_pvar_start(session, counter));
    OK(MPI_T_pvar_write(session, counter, &value));
    send_unexpected(1);
    OK(MPI_T_pvar_readreset(session, counter, &value));
    CHECK(value == 101 && value_of(session, counter) == 0 && value_of(session, other) == 4);
    OK(MPI_T_pvar_reset(session, MPI_T_PVAR_ALL_HANDLES));
    CHECK(value_of(session, other) == 0 && value_of(session, kept) == 1);
    receive(1);
    OK(MPI_T_pvar_handle_free(session, &other));
    CHECK(other == MPI_T_PVAR_HANDLE_NULL);
    OK(MPI_T_pvar_session_free(&session));
    CHECK(session == MPI_T_PVAR_SESSION_NULL);
    OK(MPI_T_finalize());
    OK(MPI_Finalize());
}

static void
test_each_handle_counts_while_it_runs(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(1, count_messages));
}

static void
misuse_pvars(void)
{
    MPI_T_pvar_session session, second, none = MPI_T_PVAR_SESSION_NULL;
    MPI_T_pvar_handle level, of_second;
    unsigned long long value = 1;
    int count, index;

    OK(MPI_Init(NULL, NULL));
    start_tool();
    OK(MPI_T_pvar_session_create(&session));
    OK(MPI_T_pvar_session_create(&second));
    OK(MPI_T_pvar_handle_alloc(session, 0, NULL, &level, &count));
    OK(MPI_T_pvar_handle_alloc(second, 1, NULL, &of_second, &count));
    REFUSED(MPI_T_pvar_start(session, level), MPI_T_ERR_PVAR_NO_STARTSTOP);
    REFUSED(MPI_T_pvar_stop(session, level), MPI_T_ERR_PVAR_NO_STARTSTOP);
    REFUSED(MPI_T_pvar_reset(session, level), MPI_T_ERR_PVAR_NO_WRITE);
    REFUSED(MPI_T_pvar_write(session, level, &value), MPI_T_ERR_PVAR_NO_WRITE);
    REFUSED(MPI_T_pvar_readreset(session, level, &value), MPI_T_ERR_PVAR_NO_ATOMIC);
    REFUSED(MPI_T_pvar_read(session, of_second, &value), MPI_T_ERR_INVALID_HANDLE);
    REFUSED(MPI_T_pvar_start(session, of_second), MPI_T_ERR_INVALID_HANDLE);
    REFUSED(MPI_T_pvar_handle_free(session, &of_second), MPI_T_ERR_INVALID_HANDLE);
    REFUSED(MPI_T_pvar_read(none, level, &value), MPI_T_ERR_INVALID_SESSION);
    REFUSED(MPI_T_pvar_start(none, MPI_T_PVAR_ALL_HANDLES), MPI_T_ERR_INVALID_SESSION);
    REFUSED(MPI_T_pvar_session_free(&none), MPI_T_ERR_INVALID_SESSION);
    REFUSED(MPI_T_pvar_handle_alloc(session, 99, NULL, &level, &count), MPI_T_ERR_INVALID_INDEX);
    REFUSED(MPI_T_pvar_get_index("messages_kept", MPI_T_PVAR_CLASS_TIMER, &index),
            MPI_T_ERR_INVALID_NAME);
    OK(MPI_T_finalize()); /* with both sessions */
    OK(MPI_Finalize());
}

static void
test_a_performance_variable_is_not_misused(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(1, misuse_pvars));
}

/* --------------------------------------------------------------------------- categories */

static void
walk_categories(void)
{
    int number, index, cvars, pvars, inner, list[4] = {-1, -1, -1, -1}, stamp = -1;
    int seen_cvars = 0, seen_pvars = 0, all;

    OK(MPI_Init(NULL, NULL));
    start_tool();
    OK(MPI_T_category_get_num(&number));
    OK(MPI_T_category_get_index("library", &index));
    OK(MPI_T_category_get_info(index, NULL, NULL, NULL, NULL, &cvars, &pvars, &inner));
    CHECK(inner == number - 1);
    OK(MPI_T_category_get_categories(index, 4, list));
    for (int i = 0; i < inner; i++) {
        OK(MPI_T_category_get_info(list[i], NULL, NULL, NULL, NULL, &cvars, &pvars, NULL));
        seen_cvars += cvars;
        seen_pvars += pvars;
    }
    OK(MPI_T_cvar_get_num(&all));
    CHECK(seen_cvars == all);
    OK(MPI_T_pvar_get_num(&all));
    CHECK(seen_pvars == all);
    list[1] = -1;
    OK(MPI_T_category_get_pvars(list[0], 1, list));
    CHECK(list[0] >= 0 && list[1] == -1);
    OK(MPI_T_category_changed(&stamp));
    REFUSED(MPI_T_category_get_cvars(number, 4, list), MPI_T_ERR_INVALID_INDEX);
    REFUSED(MPI_T_category_get_index("no such", &index), MPI_T_ERR_INVALID_NAME);
    OK(MPI_T_finalize());
    OK(MPI_Finalize());
}

static void
test_each_variable_is_in_a_category(void **state)
{
    (void)state;
    assert_true(mpi_testing_run(1, walk_categories));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_there_before_and_after_mpi_as_often_as_asked_for),
        cmocka_unit_test(test_a_string_is_cut_where_there_is_no_room_and_its_whole_length_told),
        cmocka_unit_test(test_control_variables_are_what_the_library_goes_by),
        cmocka_unit_test(test_each_handle_counts_while_it_runs),
        cmocka_unit_test(test_a_performance_variable_is_not_misused),
        cmocka_unit_test(test_each_variable_is_in_a_category),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
