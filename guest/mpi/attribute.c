/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes (MPI 3.1, 6.7): values of the program by key, on communicators, types and windows.
 */
#include "attribute.h"

#include <stdlib.h>

/* What the header's MPI_NULL_COPY_FN, MPI_DUP_FN and MPI_NULL_DELETE_FN are. */
#define COPY_NOTHING ((mpi_attribute_copy_fn)0)
#define COPY_VALUE   ((mpi_attribute_copy_fn)1)
#define KEEP_NOTHING ((mpi_attribute_delete_fn)0)

struct keyval {
    enum mpi_kind kind;
    int number;    /* its handle, as long as there are references */
    bool is_freed; /* by the program: nothing more is set */
    uint32_t references;
    mpi_attribute_copy_fn copy;
    mpi_attribute_delete_fn delete;
    void *extra;
};

struct mpi_attribute { /* last set first */
    struct mpi_attribute *next;
    struct keyval *keyval; /* a reference */
    void *value;
};

/* ---------------------------------------------------------------------------- keys */

static struct keyval *
find(enum mpi_kind kind, int number)
{
    struct keyval *keyval =
        mpi_handle_find(MPI_KIND_KEYVAL, (const void *)(uintptr_t)(uint32_t)number);

    return keyval != NULL && keyval->kind == kind ? keyval : NULL;
}

static void
put(struct keyval *keyval)
{
    if (--keyval->references > 0)
        return;
    mpi_handle_free(MPI_KIND_KEYVAL, (void *)(uintptr_t)(uint32_t)keyval->number);
    free(keyval);
}

int
mpi_keyval_create(enum mpi_kind kind, mpi_attribute_copy_fn copy, mpi_attribute_delete_fn delete,
                  void *extra, int *keyval)
{
    struct keyval *made;
    void *handle;

    if (keyval == NULL)
        return MPI_ERR_ARG;
    made = calloc(1, sizeof(*made));
    handle = made != NULL ? mpi_handle_make(MPI_KIND_KEYVAL, made) : NULL;
    if (handle == NULL) {
        free(made);
        return MPI_ERR_NO_MEM;
    }
    *made = (struct keyval){kind, (int)(uintptr_t)handle, false, 1, copy, delete, extra};
    *keyval = made->number;
    return 0;
}

/* Attributes that are set keep it alive, and it can be named to get or delete them (6.7.2). */
int
mpi_keyval_free(enum mpi_kind kind, int *keyval)
{
    struct keyval *found = keyval != NULL ? find(kind, *keyval) : NULL;

    if (found == NULL)
        return MPI_ERR_KEYVAL;
    if (!found->is_freed) {
        found->is_freed = true;
        put(found);
    }
    *keyval = MPI_KEYVAL_INVALID;
    return 0;
}

/* -------------------------------------------------------------------------- values */

static struct mpi_attribute **
place_of(struct mpi_attributes *attributes, int keyval)
{
    struct mpi_attribute **at = &attributes->first;

    while (*at != NULL && (*at)->keyval->number != keyval)
        at = &(*at)->next;
    return at;
}

static int
call_delete(void *handle, const struct mpi_attribute *attribute)
{
    const struct keyval *keyval = attribute->keyval;
    int err;

    if (keyval->delete == KEEP_NOTHING)
        return 0;
    mpi_unlock();
    err = keyval->delete(handle, keyval->number, attribute->value, keyval->extra);
    mpi_lock();
    return err;
}

static int
push(struct mpi_attributes *attributes, struct keyval *keyval, void *value)
{
    struct mpi_attribute *made = malloc(sizeof(*made));

    if (made == NULL)
        return MPI_ERR_NO_MEM;
    keyval->references++;
    *made = (struct mpi_attribute){attributes->first, keyval, value};
    attributes->first = made;
    return 0;
}

static void
drop(struct mpi_attribute **at)
{
    struct mpi_attribute *gone = *at;

    *at = gone->next;
    put(gone->keyval);
    free(gone);
}

int
mpi_attribute_set(enum mpi_kind kind, void *handle, struct mpi_attributes *attributes, int keyval,
                  void *value)
{
    struct keyval *key = find(kind, keyval);
    struct mpi_attribute *old;
    int err;

    if (key == NULL || key->is_freed)
        return MPI_ERR_KEYVAL;
    old = *place_of(attributes, keyval);
    if (old == NULL)
        return push(attributes, key, value);
    err = call_delete(handle, old);
    if (err == 0)
        old->value = value;
    return err;
}

int
mpi_attribute_get(struct mpi_attributes *attributes, int keyval, void **value, bool *is_set)
{
    const struct mpi_attribute *found;

    if (mpi_handle_find(MPI_KIND_KEYVAL, (const void *)(uintptr_t)(uint32_t)keyval) == NULL)
        return MPI_ERR_KEYVAL;
    found = *place_of(attributes, keyval);
    *is_set = found != NULL;
    if (found != NULL)
        *value = found->value;
    return 0;
}

int
mpi_attribute_remove(enum mpi_kind kind, void *handle, struct mpi_attributes *attributes,
                     int keyval)
{
    struct mpi_attribute **at;
    int err;

    if (find(kind, keyval) == NULL)
        return MPI_ERR_KEYVAL;
    at = place_of(attributes, keyval);
    if (*at == NULL)
        return MPI_ERR_KEYVAL;
    err = call_delete(handle, *at);
    if (err == 0)
        drop(place_of(attributes, keyval));
    return err;
}

int
mpi_attributes_delete(enum mpi_kind kind, void *handle, struct mpi_attributes *attributes)
{
    (void)kind;
    while (attributes->first != NULL) {
        int err = call_delete(handle, attributes->first);

        if (err != 0)
            return err;
        drop(&attributes->first);
    }
    return 0;
}

static int
copy_one(void *handle, const struct mpi_attribute *from, struct mpi_attributes *to)
{
    struct keyval *keyval = from->keyval;
    void *value = from->value;
    int flag = 1, err = 0;

    if (keyval->copy == COPY_NOTHING)
        return 0;
    if (keyval->copy != COPY_VALUE) {
        mpi_unlock();
        err = keyval->copy(handle, keyval->number, keyval->extra, from->value, &value, &flag);
        mpi_lock();
    }
    return err != 0 || !flag ? err : push(to, keyval, value);
}

/* In the order in which they were set, so the copy has them in that order, too. */
static int
copy_from(void *handle, const struct mpi_attribute *from, struct mpi_attributes *to)
{
    const struct mpi_attribute *done = NULL;
    int err = 0;

    while (err == 0 && done != from) {
        const struct mpi_attribute *last = from;

        while (last->next != done)
            last = last->next;
        err = copy_one(handle, last, to);
        done = last;
    }
    return err;
}

int
mpi_attributes_copy(enum mpi_kind kind, void *from_handle, const struct mpi_attributes *from,
                    struct mpi_attributes *to)
{
    int err = copy_from(from_handle, from->first, to);

    (void)kind;
    while (err != 0 && to->first != NULL) /* the new object does not come to be */
        drop(&to->first);
    return err;
}
