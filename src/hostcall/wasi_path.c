/* SPDX-License-Identifier: Apache-2.0
 *
 * path_*.
 */
#include <errno.h>

#include "hostcall/hostcall_internal.h"

/* A path argument with the directory it starts from. */
struct place {
    struct wasi_path path;
    const struct files_entry *directory;
};

/* first: the argument with the path's address; the length follows. */
static int
place_read(const struct faaslet_call *call, unsigned directory, unsigned first,
           enum wasi_right right, struct place *out)
{
    int err = wasi_path_read(call, wasi_arg(call, first), wasi_arg(call, first + 1), &out->path);

    if (err == 0)
        out->directory = wasi_descriptor(call, wasi_arg(call, directory), right, &err);
    return err;
}

static int
follow_read(uint32_t flags, bool *follow)
{
    *follow = (flags & WASI_SYMLINK_FOLLOW) != 0;
    return (flags & ~WASI_SYMLINK_FOLLOW) != 0 ? -EINVAL : 0;
}

/* -------------------------------------------------------------------------- open */

/* What to open with, from the rights that are asked for. -ENOTCAPABLE: more than
 * the directory gives. Bits that are no rights are left out: some programs ask
 * for all ones. */
static int
open_read(const struct faaslet_call *call, const struct files_entry *directory,
          struct files_open *out)
{
    uint32_t oflags = wasi_arg(call, 4), fdflags = wasi_arg(call, 7);
    uint64_t base = call->args[5] & WASI_RIGHTS_ALL, inheriting = call->args[6] & WASI_RIGHTS_ALL;
    uint64_t needed =
        ((oflags & WASI_OFLAG_CREAT) != 0 ? WASI_RIGHT(WASI_PATH_CREATE_FILE) : 0) |
        ((oflags & WASI_OFLAG_TRUNC) != 0 ? WASI_RIGHT(WASI_PATH_FILESTAT_SET_SIZE) : 0);
    int err = follow_read(wasi_arg(call, 1), &out->follow);

    if (err != 0 || oflags > 15 || (fdflags & ~(uint32_t)FILES_FLAGS_ALL) != 0)
        return -EINVAL;
    if ((needed & ~directory->rights) != 0 || ((base | inheriting) & ~directory->inheriting) != 0)
        return -HOSTCALL_ENOTCAPABLE;
    out->want_read = (base & (WASI_RIGHT(WASI_FD_READ) | WASI_RIGHT(WASI_FD_READDIR))) != 0;
    out->want_write = (base & (WASI_RIGHT(WASI_FD_WRITE) | WASI_RIGHT(WASI_FD_ALLOCATE) |
                               WASI_RIGHT(WASI_FD_FILESTAT_SET_SIZE))) != 0;
    out->create = (oflags & WASI_OFLAG_CREAT) != 0;
    out->exclusive = (oflags & WASI_OFLAG_EXCL) != 0;
    out->truncate = (oflags & WASI_OFLAG_TRUNC) != 0;
    out->directory = (oflags & WASI_OFLAG_DIRECTORY) != 0;
    out->flags = (uint16_t)fdflags;
    out->rights = base;
    out->inheriting = inheriting;
    return 0;
}

enum faaslet_verdict
wasi_path_open(struct faaslet_call *call)
{
    struct files_table *files = &wasi_process(call)->files;
    struct files_open how;
    struct files_entry *entry;
    struct place place;
    uint32_t number;
    int err = wasi_check(call, wasi_arg(call, 8), 4);

    if (err == 0)
        err = place_read(call, 0, 2, WASI_PATH_OPEN, &place);
    if (err == 0)
        err = open_read(call, place.directory, &how);
    if (err == 0 && keys_is(place.directory))
        err = keys_open(call, place.directory, place.path.text, &how, &number);
    else if (err == 0)
        err = device_is(place.directory)
                  ? device_open(wasi_process(call), place.path.text, &how, &number)
                  : files_path_open(files, wasi_arg(call, 0), place.path.text, &how, &number);
    wasi_note_refusal(call, err);
    if (err != 0)
        return keys_done(call, err);
    entry = files_table_get(files, number);
    entry->rights &= wasi_rights_possible(entry);
    wasi_store_u32(call, wasi_arg(call, 8), number);
    return wasi_done(call, 0);
}

/* --------------------------------------------------------------------- filestat */

static int
filestat_get(struct faaslet_call *call, struct wasi_filestat *out)
{
    struct place place;
    struct stat stat;
    bool follow;
    int err = place_read(call, 0, 2, WASI_PATH_FILESTAT_GET, &place);

    if (err == 0)
        err = follow_read(wasi_arg(call, 1), &follow);
    if (err == 0 && keys_is(place.directory))
        err = keys_path_stat(call, place.directory, place.path.text, &stat);
    else if (err == 0)
        err = device_is(place.directory)
                  ? device_stat(place.path.text, &stat)
                  : files_path_stat(place.directory, place.path.text, follow, &stat);
    if (err == 0)
        wasi_filestat_from(&stat, 0, out);
    return err;
}

enum faaslet_verdict
wasi_path_filestat_get(struct faaslet_call *call)
{
    struct wasi_filestat result;
    int err = wasi_check(call, wasi_arg(call, 4), sizeof(result));

    if (err == 0)
        err = filestat_get(call, &result);
    if (err == 0)
        wasi_store(call, wasi_arg(call, 4), &result, sizeof(result));
    return keys_done(call, err);
}

enum faaslet_verdict
wasi_path_filestat_get_unstable(struct faaslet_call *call)
{
    struct wasi_unstable_filestat result;
    struct wasi_filestat filestat;
    int err = wasi_check(call, wasi_arg(call, 4), sizeof(result));

    if (err == 0)
        err = filestat_get(call, &filestat);
    if (err == 0) {
        wasi_unstable_filestat_from(&filestat, &result);
        wasi_store(call, wasi_arg(call, 4), &result, sizeof(result));
    }
    return keys_done(call, err);
}

enum faaslet_verdict
wasi_path_filestat_set_times(struct faaslet_call *call)
{
    struct timespec times[2];
    struct place place;
    bool follow;
    int err = place_read(call, 0, 2, WASI_PATH_FILESTAT_SET_TIMES, &place);

    if (err == 0)
        err = follow_read(wasi_arg(call, 1), &follow);
    if (err == 0)
        err = wasi_times(call->args[4], call->args[5], wasi_arg(call, 6), times);
    if (err == 0 && !keys_is(place.directory)) /* a value has none of its own */
        err = files_path_set_times(place.directory, place.path.text, follow, times);
    return wasi_done(call, err);
}

/* ------------------------------------------------------------------------ names */

enum faaslet_verdict
wasi_path_create_directory(struct faaslet_call *call)
{
    struct place place;
    int err = place_read(call, 0, 1, WASI_PATH_CREATE_DIRECTORY, &place);

    if (err == 0)
        err = keys_is(place.directory)
                  ? keys_make_directory(call, place.directory, place.path.text)
                  : files_path_make_directory(place.directory, place.path.text);
    return keys_done(call, err);
}

enum faaslet_verdict
wasi_path_remove_directory(struct faaslet_call *call)
{
    struct place place;
    int err = place_read(call, 0, 1, WASI_PATH_REMOVE_DIRECTORY, &place);

    if (err == 0)
        err = keys_is(place.directory)
                  ? keys_remove_directory(call, place.directory, place.path.text)
                  : files_path_remove_directory(place.directory, place.path.text);
    return keys_done(call, err);
}

enum faaslet_verdict
wasi_path_unlink_file(struct faaslet_call *call)
{
    struct place place;
    int err = place_read(call, 0, 1, WASI_PATH_UNLINK_FILE, &place);

    if (err == 0)
        err = keys_is(place.directory) ? keys_unlink(call, place.directory, place.path.text)
                                       : files_path_unlink(place.directory, place.path.text);
    return keys_done(call, err);
}

enum faaslet_verdict
wasi_path_link(struct faaslet_call *call)
{
    struct place old_place, new_place;
    struct files_link link;
    int err = place_read(call, 0, 2, WASI_PATH_LINK_SOURCE, &old_place);

    if (err == 0)
        err = place_read(call, 4, 5, WASI_PATH_LINK_TARGET, &new_place);
    if (err == 0)
        err = follow_read(wasi_arg(call, 1), &link.follow);
    if (err != 0)
        return wasi_done(call, err);
    if (keys_is(old_place.directory) || keys_is(new_place.directory))
        return wasi_done(call, -EOPNOTSUPP);
    link.old_directory = old_place.directory;
    link.old_path = old_place.path.text;
    link.new_directory = new_place.directory;
    link.new_path = new_place.path.text;
    return wasi_done(call, files_path_link(&link));
}

enum faaslet_verdict
wasi_path_rename(struct faaslet_call *call)
{
    struct place old_place, new_place;
    int err = place_read(call, 0, 1, WASI_PATH_RENAME_SOURCE, &old_place);

    if (err == 0)
        err = place_read(call, 3, 4, WASI_PATH_RENAME_TARGET, &new_place);
    if (err == 0 && (keys_is(old_place.directory) || keys_is(new_place.directory))) {
        const struct keys_names names = {old_place.directory, new_place.directory,
                                         old_place.path.text, new_place.path.text};

        err = keys_rename(call, &names);
    } else if (err == 0) {
        err = files_path_rename(old_place.directory, old_place.path.text, new_place.directory,
                                new_place.path.text);
    }
    return keys_done(call, err);
}

enum faaslet_verdict
wasi_path_symlink(struct faaslet_call *call)
{
    struct wasi_path target;
    struct place place;
    int err = wasi_path_read(call, wasi_arg(call, 0), wasi_arg(call, 1), &target);

    if (err == 0)
        err = place_read(call, 2, 3, WASI_PATH_SYMLINK, &place);
    if (err == 0 && keys_is(place.directory))
        err = -EOPNOTSUPP;
    if (err == 0)
        err = files_path_symlink(place.directory, target.text, place.path.text);
    return wasi_done(call, err);
}

enum faaslet_verdict
wasi_path_readlink(struct faaslet_call *call)
{
    uint32_t bytes = wasi_arg(call, 4), result_at = wasi_arg(call, 5);
    char *target = faaslet_call_range(call, wasi_arg(call, 3), bytes);
    struct place place;
    size_t done = 0;
    int err = wasi_check(call, result_at, 4);

    if (err != 0 || target == NULL)
        return wasi_done(call, -EFAULT);
    err = place_read(call, 0, 1, WASI_PATH_READLINK, &place);
    if (err == 0 && keys_is(place.directory))
        err = -EINVAL; /* there are no links */
    if (err == 0)
        err = files_path_readlink(place.directory, place.path.text, target, bytes, &done);
    if (err == 0)
        wasi_store_u32(call, result_at, (uint32_t)done);
    return wasi_done(call, err);
}
