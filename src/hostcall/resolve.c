/* SPDX-License-Identifier: Apache-2.0
 *
 * The modules a guest may import from, as tables.
 */
#include "hostcall/hostcall_internal.h"

#define SHARED_FUNCTIONS \
    {"args_get", "ii:i", wasi_args_get}, {"args_sizes_get", "ii:i", wasi_args_sizes_get}, \
        {"environ_get", "ii:i", wasi_environ_get}, \
        {"environ_sizes_get", "ii:i", wasi_environ_sizes_get}, \
        {"clock_res_get", "ii:i", wasi_clock_res_get}, \
        {"clock_time_get", "iIi:i", wasi_clock_time_get}, {"fd_advise", "iIIi:i", wasi_fd_advise}, \
        {"fd_allocate", "iII:i", wasi_fd_allocate}, {"fd_close", "i:i", wasi_fd_close}, \
        {"fd_datasync", "i:i", wasi_fd_datasync}, {"fd_fdstat_get", "ii:i", wasi_fd_fdstat_get}, \
        {"fd_fdstat_set_flags", "ii:i", wasi_fd_fdstat_set_flags}, \
        {"fd_fdstat_set_rights", "iII:i", wasi_fd_fdstat_set_rights}, \
        {"fd_filestat_set_size", "iI:i", wasi_fd_filestat_set_size}, \
        {"fd_filestat_set_times", "iIIi:i", wasi_fd_filestat_set_times}, \
        {"fd_pread", "iiiIi:i", wasi_fd_pread}, {"fd_prestat_get", "ii:i", wasi_fd_prestat_get}, \
        {"fd_prestat_dir_name", "iii:i", wasi_fd_prestat_dir_name}, \
        {"fd_pwrite", "iiiIi:i", wasi_fd_pwrite}, {"fd_read", "iiii:i", wasi_fd_read}, \
        {"fd_readdir", "iiiIi:i", wasi_fd_readdir}, {"fd_renumber", "ii:i", wasi_fd_renumber}, \
        {"fd_sync", "i:i", wasi_fd_sync}, {"fd_tell", "ii:i", wasi_fd_tell}, \
        {"fd_write", "iiii:i", wasi_fd_write}, \
        {"path_create_directory", "iii:i", wasi_path_create_directory}, \
        {"path_filestat_set_times", "iiiiIIi:i", wasi_path_filestat_set_times}, \
        {"path_link", "iiiiiii:i", wasi_path_link}, {"path_open", "iiiiiIIii:i", wasi_path_open}, \
        {"path_readlink", "iiiiii:i", wasi_path_readlink}, \
        {"path_remove_directory", "iii:i", wasi_path_remove_directory}, \
        {"path_rename", "iiiiii:i", wasi_path_rename}, \
        {"path_symlink", "iiiii:i", wasi_path_symlink}, \
        {"path_unlink_file", "iii:i", wasi_path_unlink_file}, {"proc_exit", "i:", wasi_proc_exit}, \
        {"proc_raise", "i:i", wasi_proc_raise}, {"sched_yield", ":i", wasi_sched_yield}, \
        {"random_get", "ii:i", wasi_random_get}, {"sock_recv", "iiiiii:i", wasi_sock_recv}, \
        {"sock_send", "iiiii:i", wasi_sock_send}, \
    { \
        "sock_shutdown", "ii:i", wasi_sock_shutdown \
    }

static const struct faaslet_host_function preview1[] = {
    SHARED_FUNCTIONS,
    {"fd_filestat_get", "ii:i", wasi_fd_filestat_get},
    {"fd_seek", "iIii:i", wasi_fd_seek},
    {"path_filestat_get", "iiiii:i", wasi_path_filestat_get},
    {"poll_oneoff", "iiii:i", wasi_poll_oneoff},
    {"sock_accept", "iii:i", wasi_sock_accept},
};

/* Snapshot 0: other layouts of filestat and subscription, other order of whence,
 * no sock_accept yet. */
static const struct faaslet_host_function unstable[] = {
    SHARED_FUNCTIONS,
    {"fd_filestat_get", "ii:i", wasi_fd_filestat_get_unstable},
    {"fd_seek", "iIii:i", wasi_fd_seek_unstable},
    {"path_filestat_get", "iiiii:i", wasi_path_filestat_get_unstable},
    {"poll_oneoff", "iiii:i", wasi_poll_oneoff_unstable},
};

static const struct faaslet_host_function weft[] = {
    {"snapshot", ":i", weft_snapshot},
    {"input_size", ":i", weft_input_size},
    {"input_read", "iiii:i", weft_input_read},
    {"output", "ii:i", weft_output},
    {"call_id", ":I", weft_call_id},
    {"identity", "iiii:i", weft_identity},
    {"deadline_left", ":I", weft_deadline_left},
    {"log", "iii:i", weft_log},
    {"chain", "iiiiiIi:i", weft_chain},
    {"chain_pointer", "iiiiIi:i", weft_chain_pointer},
    {"pointer", ":i", weft_pointer},
    {"processors", ":i", weft_processors},
    {"await", "iiiIii:i", weft_await},
    {"read", "Iiiiii:i", weft_read},
    {"cancel", "I:i", weft_cancel},
    {"forget", "I:i", weft_forget},
    {"state_stat", "ii:i", weft_state_stat},
    {"state_get", "iIii:i", weft_state_get},
    {"state_set", "iii:i", weft_state_set},
    {"state_cas", "iIiii:i", weft_state_cas},
    {"state_add", "iIIIi:i", weft_state_add},
    {"state_add_double", "iIFIi:i", weft_state_add_double},
    {"state_remove", "i:i", weft_state_remove},
    {"state_expire", "iI:i", weft_state_expire},
    {"state_list", "iiiii:i", weft_state_list},
    {"state_watch", "iIIi:i", weft_state_watch},
    {"state_map", "iIIii:i", weft_state_map},
    {"state_unmap", "i:i", weft_state_unmap},
    {"state_pull", "iII:i", weft_state_pull},
    {"state_push", "iII:i", weft_state_push},
    {"state_push_if", "iIi:i", weft_state_push_if},
    {"state_lock", "iiI:i", weft_state_lock},
    {"state_unlock", "ii:i", weft_state_unlock},
    {"state_append", "iiii:i", weft_state_append},
    {"state_read", "iiiiiii:i", weft_state_read},
    {"state_trim", "iI:i", weft_state_trim},
};

static const struct faaslet_host_function group[] = {
    {"enter", "ii:i", weft_group_enter},
    {"leave", ":", weft_group_leave},
    {"abort", "iii:", weft_group_abort},
    {"send", "iiiii:i", weft_group_send},
    {"receive", "iiiii:i", weft_group_receive},
    {"take", "ii:", weft_group_take},
    {"wait", "iiii:", weft_group_wait},
    {"get", "iIiI:", weft_group_get},
    {"put", "iIiI:", weft_group_put},
    {"is_near", "i:i", weft_group_is_near},
    {"time", ":F", weft_group_time},
    {"change", "iIiiII:I", weft_group_change},
    {"share", "II:i", weft_group_share},
    {"unshare", "Ii:", weft_group_unshare},
};

/* wasi-threads. */
static const struct faaslet_host_function threads[] = {
    {"thread-spawn", "i:i", wasi_thread_spawn},
};

static const struct module {
    const char *name;
    const struct faaslet_host_function *functions;
    size_t count;
} modules[] = {
    {"wasi_snapshot_preview1", preview1, ARRAY_COUNT(preview1)},
    {"wasi_unstable", unstable, ARRAY_COUNT(unstable)},
    {"weft", weft, ARRAY_COUNT(weft)},
    {"weft_group", group, ARRAY_COUNT(group)},
    {"wasi", threads, ARRAY_COUNT(threads)},
};

const struct faaslet_host_function *
hostcall_resolve(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    for (size_t i = 0; i < ARRAY_COUNT(modules); i++)
        if (strlen(modules[i].name) == module_bytes &&
            memcmp(modules[i].name, module, module_bytes) == 0)
            return faaslet_host_find(modules[i].functions, modules[i].count, name, name_bytes);
    return NULL;
}
