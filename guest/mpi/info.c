/* SPDX-License-Identifier: Apache-2.0
 *
 * Info objects (MPI 3.1, chapter 9): pairs of texts, in the order in which keys were first set.
 */
#include <stdlib.h>
#include <string.h>

#include "core.h"

struct pair {
    struct pair *next;
    char *value;
    char key[];
};

struct mpi_info {
    MPI_Info handle; /* NULL: an object's own */
    struct pair *first;
    int count;
};

static struct mpi_info environment = {.handle = MPI_INFO_ENV};

/* Where the key's pair is linked, or would be. */
static struct pair **
place_of(struct mpi_info *info, const char *key)
{
    struct pair **at = &info->first;

    while (*at != NULL && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

int
mpi_info_put(struct mpi_info *info, const char *key, const char *value)
{
    struct pair **at = place_of(info, key);
    char *text = strdup(value);
    struct pair *pair = *at;

    if (text != NULL && pair == NULL)
        pair = calloc(1, sizeof(*pair) + strlen(key) + 1);
    if (pair == NULL || text == NULL) {
        free(text);
        return MPI_ERR_NO_MEM;
    }
    if (*at == NULL) {
        (void)memcpy(pair->key, key, strlen(key) + 1);
        *at = pair;
        info->count++;
    }
    free(pair->value);
    pair->value = text;
    return 0;
}

void
mpi_info_destroy(struct mpi_info *info)
{
    if (info == NULL || info == &environment)
        return;
    while (info->first != NULL) {
        struct pair *pair = info->first;

        info->first = pair->next;
        free(pair->value);
        free(pair);
    }
    if (info->handle != NULL)
        mpi_handle_free(MPI_KIND_INFO, info->handle);
    free(info);
}

struct mpi_info *
mpi_info_create(void)
{
    return calloc(1, sizeof(struct mpi_info));
}

int
mpi_info_merge(struct mpi_info *into, const struct mpi_info *from)
{
    const struct pair *pair = from != NULL ? from->first : NULL;
    int err = 0;

    for (; err == 0 && pair != NULL; pair = pair->next)
        err = mpi_info_put(into, pair->key, pair->value);
    return err;
}

struct mpi_info *
mpi_info_copy(const struct mpi_info *info)
{
    struct mpi_info *copy = info != NULL ? mpi_info_create() : NULL;

    if (copy != NULL && mpi_info_merge(copy, info) != 0) {
        mpi_info_destroy(copy);
        return NULL;
    }
    return copy;
}

const char *
mpi_info_value(const struct mpi_info *info, const char *key)
{
    if (info != NULL)
        for (const struct pair *pair = info->first; pair != NULL; pair = pair->next)
            if (strcmp(pair->key, key) == 0)
                return pair->value;
    return NULL;
}

int
mpi_info_find(MPI_Info handle, struct mpi_info **out)
{
    mpi_handle_define(MPI_KIND_INFO, MPI_INFO_ENV, &environment);
    *out = handle == MPI_INFO_NULL ? NULL : mpi_handle_find(MPI_KIND_INFO, handle);
    return *out != NULL || handle == MPI_INFO_NULL ? 0 : MPI_ERR_INFO;
}

/* A handle, and info is the program's; destroyed where there is none. */
static int
hand_out(struct mpi_info *info, MPI_Info *out)
{
    if (info != NULL)
        info->handle = mpi_handle_make(MPI_KIND_INFO, info);
    if (info == NULL || info->handle == NULL) {
        mpi_info_destroy(info);
        return MPI_ERR_NO_MEM;
    }
    *out = info->handle;
    return 0;
}

int
mpi_info_export(const struct mpi_info *info, MPI_Info *out)
{
    return hand_out(info != NULL ? mpi_info_copy(info) : mpi_info_create(), out);
}

/* An info object that is not MPI_INFO_NULL; key NULL: none is looked at. */
static int
check(MPI_Info handle, const char *key, struct mpi_info **out)
{
    int err = mpi_info_find(handle, out);

    if (err == 0 && *out == NULL)
        err = MPI_ERR_INFO;
    if (err == 0 && key != NULL && (*key == '\0' || strlen(key) > MPI_MAX_INFO_KEY))
        err = MPI_ERR_INFO_KEY;
    return err;
}

int
PMPI_Info_create(MPI_Info *info)
{
    int err;

    mpi_lock();
    err = info != NULL ? mpi_info_export(NULL, info) : MPI_ERR_ARG;
    return mpi_leave(NULL, "MPI_Info_create", err);
}
MPI_NAMES(Info_create);

int
PMPI_Info_set(MPI_Info info, const char *key, const char *value)
{
    struct mpi_info *i;
    int err;

    mpi_lock();
    err = key != NULL ? check(info, key, &i) : MPI_ERR_INFO_KEY;
    if (err == 0 && (value == NULL || strlen(value) > MPI_MAX_INFO_VAL))
        err = MPI_ERR_INFO_VALUE;
    if (err == 0)
        err = mpi_info_put(i, key, value);
    return mpi_leave(NULL, "MPI_Info_set", err);
}
MPI_NAMES(Info_set);

int
PMPI_Info_delete(MPI_Info info, const char *key)
{
    struct mpi_info *i;
    struct pair **at, *pair;
    int err;

    mpi_lock();
    err = key != NULL ? check(info, key, &i) : MPI_ERR_INFO_KEY;
    if (err == 0) {
        at = place_of(i, key);
        pair = *at;
        if (pair != NULL) {
            *at = pair->next;
            i->count--;
            free(pair->value);
            free(pair);
        } else {
            err = MPI_ERR_INFO_NOKEY;
        }
    }
    return mpi_leave(NULL, "MPI_Info_delete", err);
}
MPI_NAMES(Info_delete);

int
PMPI_Info_get(MPI_Info info, const char *key, int valuelen, char *value, int *flag)
{
    struct mpi_info *i;
    const char *text = NULL;
    int err;

    mpi_lock();
    err = key != NULL ? check(info, key, &i) : MPI_ERR_INFO_KEY;
    if (err == 0 && (valuelen < 0 || value == NULL || flag == NULL))
        err = MPI_ERR_ARG;
    if (err == 0) {
        text = mpi_info_value(i, key);
        *flag = text != NULL;
    }
    if (text != NULL) {
        size_t bytes = strnlen(text, (size_t)valuelen);

        (void)memcpy(value, text, bytes);
        value[bytes] = '\0';
    }
    return mpi_leave(NULL, "MPI_Info_get", err);
}
MPI_NAMES(Info_get);

/* MPI 4.0: buflen with the final zero, in and out. */
int
PMPI_Info_get_string(MPI_Info info, const char *key, int *buflen, char *value, int *flag)
{
    struct mpi_info *i;
    const char *text = NULL;
    int err;

    mpi_lock();
    err = key != NULL ? check(info, key, &i) : MPI_ERR_INFO_KEY;
    if (err == 0 && (buflen == NULL || *buflen < 0 || flag == NULL))
        err = MPI_ERR_ARG;
    if (err == 0) {
        text = mpi_info_value(i, key);
        *flag = text != NULL;
    }
    if (text != NULL) {
        if (*buflen > 0) {
            size_t bytes = strnlen(text, (size_t)*buflen - 1);

            (void)memcpy(value, text, bytes);
            value[bytes] = '\0';
        }
        *buflen = (int)strlen(text) + 1;
    }
    return mpi_leave(NULL, "MPI_Info_get_string", err);
}
MPI_NAMES(Info_get_string);

int
PMPI_Info_get_valuelen(MPI_Info info, const char *key, int *valuelen, int *flag)
{
    struct mpi_info *i;
    const char *text;
    int err;

    mpi_lock();
    err = key != NULL ? check(info, key, &i) : MPI_ERR_INFO_KEY;
    if (err == 0) {
        text = mpi_info_value(i, key);
        *flag = text != NULL;
        if (text != NULL)
            *valuelen = (int)strlen(text);
    }
    return mpi_leave(NULL, "MPI_Info_get_valuelen", err);
}
MPI_NAMES(Info_get_valuelen);

int
PMPI_Info_get_nkeys(MPI_Info info, int *nkeys)
{
    struct mpi_info *i;
    int err;

    mpi_lock();
    err = check(info, NULL, &i);
    if (err == 0)
        *nkeys = i->count;
    return mpi_leave(NULL, "MPI_Info_get_nkeys", err);
}
MPI_NAMES(Info_get_nkeys);

int
PMPI_Info_get_nthkey(MPI_Info info, int n, char *key)
{
    struct mpi_info *i;
    const struct pair *pair;
    int err;

    mpi_lock();
    err = check(info, NULL, &i);
    if (err == 0 && (n < 0 || n >= i->count))
        err = MPI_ERR_ARG;
    if (err == 0) {
        for (pair = i->first; n > 0; n--)
            pair = pair->next;
        (void)memcpy(key, pair->key, strlen(pair->key) + 1);
    }
    return mpi_leave(NULL, "MPI_Info_get_nthkey", err);
}
MPI_NAMES(Info_get_nthkey);

int
PMPI_Info_dup(MPI_Info info, MPI_Info *newinfo)
{
    struct mpi_info *i;
    int err;

    mpi_lock();
    err = check(info, NULL, &i);
    if (err == 0)
        err = mpi_info_export(i, newinfo);
    return mpi_leave(NULL, "MPI_Info_dup", err);
}
MPI_NAMES(Info_dup);

int
PMPI_Info_free(MPI_Info *info)
{
    struct mpi_info *i;
    int err;

    mpi_lock();
    err = info != NULL && *info != MPI_INFO_ENV ? check(*info, NULL, &i) : MPI_ERR_INFO;
    if (err == 0) {
        mpi_info_destroy(i);
        *info = MPI_INFO_NULL;
    }
    return mpi_leave(NULL, "MPI_Info_free", err);
}
MPI_NAMES(Info_free);
