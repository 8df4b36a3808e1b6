/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups, info objects, attributes, error handlers and codes, the environment (MPI 3.1, chapters 6,
 * 8, 9).
 */
#include "check.h"

/* ---------------------------------------------------------------------------- groups */

static MPI_Group
some(MPI_Group all, int first, int step)
{
    int range[1][3] = {{first, size - 1, step}};
    MPI_Group group;

    OK(MPI_Group_range_incl(all, first < size ? 1 : 0, range, &group));
    return group;
}

static void
check_sets(MPI_Group all)
{
    MPI_Group even = some(all, 0, 2), odd = some(all, 1, 2), made;
    int result, count;

    OK(MPI_Group_union(even, odd, &made));
    OK(MPI_Group_compare(made, all, &result));
    CHECK(result == (size < 3 ? MPI_IDENT : MPI_SIMILAR));
    OK(MPI_Group_free(&made));
    CHECK(made == MPI_GROUP_NULL);
    OK(MPI_Group_intersection(even, odd, &made));
    CHECK(made == MPI_GROUP_EMPTY);
    OK(MPI_Group_difference(all, odd, &made));
    OK(MPI_Group_compare(made, even, &result));
    CHECK(result == MPI_IDENT);
    OK(MPI_Group_size(made, &count));
    CHECK(count == (size + 1) / 2);
    OK(MPI_Group_free(&made));
    OK(MPI_Group_free(&even));
    OK(MPI_Group_free(&odd));
}

static void
check_lists(MPI_Group all)
{
    int last = size - 1, range[1][3] = {{last, 0, -1}}, ranks[2] = {0, MPI_PROC_NULL}, there[2];
    int own, result;
    MPI_Group back, one, rest;

    OK(MPI_Group_range_incl(all, 1, range, &back));
    OK(MPI_Group_rank(back, &own));
    CHECK(own == last - rank);
    OK(MPI_Group_translate_ranks(all, 2, ranks, back, there));
    CHECK(there[0] == last && there[1] == MPI_PROC_NULL);
    OK(MPI_Group_incl(all, 1, &last, &one));
    OK(MPI_Group_rank(one, &own));
    CHECK(own == (rank == last ? 0 : MPI_UNDEFINED));
    OK(MPI_Group_translate_ranks(back, 1, &last, one, there));
    CHECK(there[0] == (size == 1 ? 0 : MPI_UNDEFINED));
    OK(MPI_Group_excl(all, 1, &last, &rest));
    OK(MPI_Group_range_excl(all, 1, range, &one));
    CHECK(one == MPI_GROUP_EMPTY);
    OK(MPI_Group_compare(all, rest, &result));
    CHECK(result == MPI_UNEQUAL);
    if (rest != MPI_GROUP_EMPTY)
        OK(MPI_Group_free(&rest));
    OK(MPI_Group_free(&back));
}

static void
check_wrong_groups(MPI_Group all)
{
    int twice[2] = {0, 0}, beyond = size, range[1][3] = {{0, size - 1, 0}}, number;
    MPI_Group made;

    REFUSED(MPI_Group_size(MPI_GROUP_NULL, &number), MPI_ERR_GROUP);
    REFUSED(MPI_Group_rank((MPI_Group)MPI_COMM_WORLD, &number), MPI_ERR_GROUP);
    REFUSED(MPI_Group_incl(all, 1, &beyond, &made), MPI_ERR_RANK);
    REFUSED(MPI_Group_incl(all, -1, &beyond, &made), MPI_ERR_ARG);
    REFUSED(MPI_Group_excl(all, 2, twice, &made), MPI_ERR_RANK);
    REFUSED(MPI_Group_range_incl(all, 1, range, &made), MPI_ERR_ARG);
    REFUSED(MPI_Group_range_excl(MPI_GROUP_NULL, 1, range, &made), MPI_ERR_GROUP);
    REFUSED(MPI_Group_translate_ranks(all, 1, &beyond, all, &number), MPI_ERR_RANK);
    REFUSED(MPI_Group_union(all, MPI_GROUP_NULL, &made), MPI_ERR_GROUP);
    REFUSED(MPI_Group_intersection(MPI_GROUP_NULL, all, &made), MPI_ERR_GROUP);
    REFUSED(MPI_Group_difference(MPI_GROUP_NULL, all, &made), MPI_ERR_GROUP);
    REFUSED(MPI_Group_compare(all, MPI_GROUP_NULL, &number), MPI_ERR_GROUP);
    made = MPI_GROUP_NULL;
    REFUSED(MPI_Group_free(&made), MPI_ERR_GROUP);
}

/* ------------------------------------------------------------------------------ info */

static void
check_info(void)
{
    char value[16], key[MPI_MAX_INFO_KEY + 1];
    MPI_Info info, copy;
    int is_set, number;

    OK(MPI_Info_create(&info));
    OK(MPI_Info_set(info, "first", "1"));
    OK(MPI_Info_set(info, "second", "a longer one"));
    OK(MPI_Info_set(info, "first", "one"));
    OK(MPI_Info_get_nkeys(info, &number));
    CHECK(number == 2);
    OK(MPI_Info_get_nthkey(info, 1, key));
    CHECK(strcmp(key, "second") == 0);
    OK(MPI_Info_get_valuelen(info, "second", &number, &is_set));
    CHECK(is_set && number == 12);
    OK(MPI_Info_get(info, "second", 3, value, &is_set));
    CHECK(is_set && strcmp(value, "a l") == 0);
    number = 3;
    OK(MPI_Info_get_string(info, "second", &number, value, &is_set));
    CHECK(is_set && strcmp(value, "a ") == 0 && number == 13);
    OK(MPI_Info_get(info, "third", 3, value, &is_set));
    CHECK(!is_set);
    OK(MPI_Info_dup(info, &copy));
    OK(MPI_Info_delete(info, "first"));
    OK(MPI_Info_get(copy, "first", 15, value, &is_set));
    CHECK(is_set && strcmp(value, "one") == 0);
    OK(MPI_Info_free(&copy));
    CHECK(copy == MPI_INFO_NULL);
    OK(MPI_Info_free(&info));
}

static void
check_wrong_info(void)
{
    char value[16], key[MPI_MAX_INFO_KEY + 8], *large = malloc(MPI_MAX_INFO_VAL + 8);
    MPI_Info info, copy = MPI_INFO_NULL;
    int is_set, number = 16;

    OK(MPI_Info_create(&info));
    OK(MPI_Info_set(info, "second", "2"));
    REFUSED(MPI_Info_delete(info, "first"), MPI_ERR_INFO_NOKEY);
    REFUSED(MPI_Info_get_nthkey(info, 1, key), MPI_ERR_ARG);
    memset(key, 'k', sizeof(key));
    key[sizeof(key) - 1] = '\0';
    REFUSED(MPI_Info_set(info, key, "x"), MPI_ERR_INFO_KEY);
    REFUSED(MPI_Info_set(info, "", "x"), MPI_ERR_INFO_KEY);
    memset(large, 'v', MPI_MAX_INFO_VAL + 7);
    large[MPI_MAX_INFO_VAL + 7] = '\0';
    REFUSED(MPI_Info_set(info, "key", large), MPI_ERR_INFO_VALUE);
    REFUSED(MPI_Info_get_valuelen(info, key, &number, &is_set), MPI_ERR_INFO_KEY);
    REFUSED(MPI_Info_get(info, "second", -1, value, &is_set), MPI_ERR_ARG);
    REFUSED(MPI_Info_get_string(info, key, &number, value, &is_set), MPI_ERR_INFO_KEY);
    REFUSED(MPI_Info_get_nkeys(MPI_INFO_NULL, &number), MPI_ERR_INFO);
    REFUSED(MPI_Info_dup(MPI_INFO_NULL, &copy), MPI_ERR_INFO);
    REFUSED(MPI_Info_create(NULL), MPI_ERR_ARG);
    REFUSED(MPI_Info_free(&copy), MPI_ERR_INFO);
    OK(MPI_Info_free(&info));
    free(large);
}

/* ------------------------------------------------------------------------ attributes */

static int copied, deleted;

static int
copy_attribute(MPI_Comm comm, int keyval, void *extra, void *in, void *out, int *flag)
{
    (void)comm;
    (void)keyval;
    CHECK(extra == &copied);
    copied++;
    *(char **)out = (char *)in + 1;
    *flag = 1;
    return MPI_SUCCESS;
}

static int
delete_attribute(MPI_Comm comm, int keyval, void *value, void *extra)
{
    (void)comm;
    (void)keyval;
    (void)value;
    CHECK(extra == &copied);
    deleted++;
    return MPI_SUCCESS;
}

static int
refuse_delete(MPI_Comm comm, int keyval, void *value, void *extra)
{
    (void)comm;
    (void)keyval;
    (void)value;
    return extra == NULL ? MPI_SUCCESS : MPI_ERR_OTHER;
}

static void
check_attributes(void)
{
    char place[4], *value = NULL;
    int key, kept, is_set;
    MPI_Comm copy;

    OK(MPI_Comm_create_keyval(copy_attribute, delete_attribute, &key, &copied));
    OK(MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &kept, NULL));
    OK(MPI_Comm_set_attr(MPI_COMM_WORLD, key, &place[0]));
    OK(MPI_Comm_set_attr(MPI_COMM_WORLD, kept, &place[3]));
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &copy));
    CHECK(copied == 1);
    OK(MPI_Comm_get_attr(copy, key, &value, &is_set));
    CHECK(is_set && value == &place[1]);
    OK(MPI_Comm_get_attr(copy, kept, &value, &is_set));
    CHECK(!is_set);
    OK(MPI_Comm_free(&copy));
    CHECK(deleted == 1);
    OK(MPI_Comm_set_attr(MPI_COMM_WORLD, key, &place[2]));
    CHECK(deleted == 2);
    OK(MPI_Comm_delete_attr(MPI_COMM_WORLD, key));
    CHECK(deleted == 3);
    REFUSED(MPI_Comm_delete_attr(MPI_COMM_WORLD, key), MPI_ERR_KEYVAL);
    OK(MPI_Comm_delete_attr(MPI_COMM_WORLD, kept));
    OK(MPI_Comm_free_keyval(&key));
    CHECK(key == MPI_KEYVAL_INVALID);
    REFUSED(MPI_Comm_set_attr(MPI_COMM_WORLD, key, place), MPI_ERR_KEYVAL);
    REFUSED(MPI_Comm_get_attr(MPI_COMM_WORLD, key, &value, &is_set), MPI_ERR_KEYVAL);
    REFUSED(MPI_Comm_free_keyval(&key), MPI_ERR_KEYVAL);
    REFUSED(MPI_Comm_create_keyval(copy_attribute, delete_attribute, NULL, NULL), MPI_ERR_ARG);
    OK(MPI_Comm_free_keyval(&kept));
}

/* The names of MPI 1, and an object that a callback does not let go. */
static void
check_old_attributes(void)
{
    int key, is_set, place, *value = NULL;
    MPI_Comm copy;

    OK(MPI_Keyval_create(MPI_DUP_FN, refuse_delete, &key, NULL));
    OK(MPI_Attr_put(MPI_COMM_SELF, key, &place));
    OK(MPI_Attr_get(MPI_COMM_SELF, key, &value, &is_set));
    CHECK(is_set && value == &place);
    OK(MPI_Attr_delete(MPI_COMM_SELF, key));
    REFUSED(MPI_Attr_delete(MPI_COMM_SELF, key), MPI_ERR_KEYVAL);
    OK(MPI_Keyval_free(&key));
    REFUSED(MPI_Keyval_free(&key), MPI_ERR_KEYVAL);
    REFUSED(MPI_Attr_put(MPI_COMM_NULL, key, &place), MPI_ERR_COMM);
    REFUSED(MPI_Attr_get(MPI_COMM_NULL, key, &value, &is_set), MPI_ERR_COMM);
    REFUSED(MPI_Keyval_create(MPI_DUP_FN, refuse_delete, NULL, NULL), MPI_ERR_ARG);

    OK(MPI_Comm_create_keyval(MPI_COMM_DUP_FN, refuse_delete, &key, &place));
    OK(MPI_Comm_dup(MPI_COMM_SELF, &copy));
    OK(MPI_Comm_set_attr(copy, key, &place));
    REFUSED(MPI_Comm_free(&copy), MPI_ERR_OTHER);
    CHECK(copy != MPI_COMM_NULL);
    OK(MPI_Comm_free_keyval(&key));
}

static void
check_predefined(void)
{
    int *value = NULL, is_set;

    OK(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &value, &is_set));
    CHECK(is_set && *value >= 32767);
    OK(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_WTIME_IS_GLOBAL, &value, &is_set));
    CHECK(is_set && *value == 1);
    OK(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_UNIVERSE_SIZE, &value, &is_set));
    CHECK(is_set && *value == size);
    OK(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_LASTUSEDCODE, &value, &is_set));
    CHECK(is_set && *value >= MPI_ERR_LASTCODE);
    OK(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_IO, &value, &is_set));
    CHECK(is_set && *value == MPI_ANY_SOURCE);
    OK(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_HOST, &value, &is_set));
    CHECK(is_set && *value == MPI_PROC_NULL);
    REFUSED(MPI_Comm_set_attr(MPI_COMM_WORLD, MPI_TAG_UB, value), MPI_ERR_KEYVAL);
}

/* ---------------------------------------------------------------- handlers and codes */

static int handled, last_code;

static void
handle(MPI_Comm *comm, int *code, ...)
{
    CHECK(*comm != MPI_COMM_NULL);
    handled++;
    last_code = *code;
}

static void
check_handlers(void)
{
    MPI_Errhandler handler, now;
    MPI_Comm copy;
    int number;

    OK(MPI_Comm_dup(MPI_COMM_SELF, &copy));
    OK(MPI_Comm_create_errhandler(handle, &handler));
    OK(MPI_Comm_set_errhandler(copy, handler));
    OK(MPI_Comm_get_errhandler(copy, &now));
    CHECK(now == handler);
    OK(MPI_Errhandler_free(&now));
    OK(MPI_Errhandler_free(&handler));
    CHECK(handler == MPI_ERRHANDLER_NULL);
    CHECK(MPI_Send(&number, 1, MPI_INT, 1, 0, copy) == MPI_ERR_RANK);
    CHECK(handled == 1 && last_code == MPI_ERR_RANK);
    OK(MPI_Comm_call_errhandler(copy, MPI_ERR_OTHER));
    CHECK(handled == 2 && last_code == MPI_ERR_OTHER);
    OK(MPI_Comm_free(&copy));

    OK(MPI_Errhandler_create(handle, &handler));
    OK(MPI_Errhandler_get(MPI_COMM_SELF, &now));
    CHECK(now == MPI_ERRORS_RETURN);
    OK(MPI_Errhandler_set(MPI_COMM_SELF, handler));
    (void)MPI_Comm_size(MPI_COMM_SELF, NULL);
    CHECK(handled == 3 && last_code == MPI_ERR_ARG);
    OK(MPI_Errhandler_set(MPI_COMM_SELF, now));
    OK(MPI_Errhandler_free(&handler));
    REFUSED(MPI_Errhandler_free(&handler), MPI_ERR_ARG);
    REFUSED(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRHANDLER_NULL), MPI_ERR_ARG);
    REFUSED(MPI_Comm_create_errhandler(NULL, &handler), MPI_ERR_ARG);
    REFUSED(MPI_Errhandler_create(NULL, &handler), MPI_ERR_ARG);
    REFUSED(MPI_Comm_get_errhandler(MPI_COMM_NULL, &now), MPI_ERR_COMM);
    REFUSED(MPI_Errhandler_get(MPI_COMM_NULL, &now), MPI_ERR_COMM);
    REFUSED(MPI_Errhandler_set(MPI_COMM_NULL, MPI_ERRORS_RETURN), MPI_ERR_COMM);
    REFUSED(MPI_Comm_call_errhandler(MPI_COMM_NULL, MPI_ERR_OTHER), MPI_ERR_COMM);
}

static void
check_codes(void)
{
    char text[MPI_MAX_ERROR_STRING];
    int class, code, number;

    OK(MPI_Add_error_class(&class));
    CHECK(class > MPI_ERR_LASTCODE);
    OK(MPI_Add_error_code(class, &code));
    OK(MPI_Add_error_string(code, "of our own"));
    OK(MPI_Error_class(code, &number));
    CHECK(number == class);
    OK(MPI_Error_string(code, text, &number));
    CHECK(strcmp(text, "of our own") == 0 && number == 10);
    OK(MPI_Error_string(class, text, &number));
    CHECK(number == 0);
    OK(MPI_Error_string(MPI_ERR_TRUNCATE, text, &number));
    CHECK(number > 0 && (size_t)number == strlen(text));
    REFUSED(MPI_Error_string(-7, text, &number), MPI_ERR_ARG);
    REFUSED(MPI_Error_class(1 << 30, &number), MPI_ERR_ARG);
    REFUSED(MPI_Add_error_code(1 << 30, &number), MPI_ERR_ARG);
    REFUSED(MPI_Add_error_string(MPI_ERR_TAG, "no"), MPI_ERR_ARG);
    OK(MPI_Remove_error_string(code));
    REFUSED(MPI_Remove_error_string(code), MPI_ERR_ARG);
    OK(MPI_Remove_error_code(code));
    REFUSED(MPI_Remove_error_code(code), MPI_ERR_ARG);
    OK(MPI_Remove_error_class(class));
    REFUSED(MPI_Remove_error_class(class), MPI_ERR_ARG);
}

/* -------------------------------------------------------------------- handles of Fortran */

#define CHECK_HANDLE(kind, handle) \
    do { \
        CHECK(MPI_##kind##_f2c(MPI_##kind##_c2f(handle)) == (handle)); \
        CHECK(PMPI_##kind##_f2c(PMPI_##kind##_c2f(handle)) == (handle)); \
    } while (0)

static void
check_handles(MPI_Group all)
{
    CHECK_HANDLE(Comm, MPI_COMM_WORLD);
    CHECK_HANDLE(Comm, MPI_COMM_NULL);
    CHECK_HANDLE(Group, all);
    CHECK_HANDLE(Type, MPI_DOUBLE_INT);
    CHECK_HANDLE(Op, MPI_MAXLOC);
    CHECK_HANDLE(Info, MPI_INFO_ENV);
    CHECK_HANDLE(Errhandler, MPI_ERRORS_RETURN);
    CHECK_HANDLE(Request, MPI_REQUEST_NULL);
    CHECK_HANDLE(Message, MPI_MESSAGE_NO_PROC);
    CHECK_HANDLE(Win, MPI_WIN_NULL);
    CHECK_HANDLE(File, MPI_FILE_NULL);
}

/* ------------------------------------------------------------------------ environment */

static void
check_environment(void)
{
    char name[MPI_MAX_LIBRARY_VERSION_STRING];
    double then = MPI_Wtime(), tick = MPI_Wtick();
    int a, b;
    void *memory;

    OK(MPI_Get_version(&a, &b));
    CHECK(a == MPI_VERSION && b == MPI_SUBVERSION);
    OK(MPI_Get_library_version(name, &a));
    CHECK(a == (int)strlen(name) && a > 0);
    OK(MPI_Get_processor_name(name, &a));
    CHECK(a == (int)strlen(name) && a > 0);
    CHECK(tick > 0 && tick < 1 && MPI_Wtime() >= then);
    OK(MPI_Initialized(&a));
    OK(MPI_Finalized(&b));
    CHECK(a && !b);
    OK(MPI_Is_thread_main(&a));
    OK(MPI_Query_thread(&b));
    CHECK(a && b == MPI_THREAD_SINGLE);
    REFUSED(MPI_Init(NULL, NULL), MPI_ERR_OTHER);
    REFUSED(MPI_Init_thread(NULL, NULL, MPI_THREAD_SINGLE, &a), MPI_ERR_OTHER);
    OK(MPI_Alloc_mem(100, MPI_INFO_NULL, &memory));
    memset(memory, 1, 100);
    OK(MPI_Free_mem(memory));
    REFUSED(MPI_Alloc_mem(-1, MPI_INFO_NULL, &memory), MPI_ERR_ARG);
    OK(MPI_Pcontrol(1));
}

int
main(int argc, char **argv)
{
    MPI_Group all;

    begin(&argc, &argv);
    OK(MPI_Comm_group(MPI_COMM_WORLD, &all));
    check_sets(all);
    check_lists(all);
    check_wrong_groups(all);
    check_handles(all);
    OK(MPI_Group_free(&all));
    check_info();
    check_wrong_info();
    check_attributes();
    check_old_attributes();
    check_predefined();
    check_handlers();
    check_codes();
    check_environment();
    return end();
}
