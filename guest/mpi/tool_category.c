/* SPDX-License-Identifier: Apache-2.0
 *
 * Which variables of the tool interface belong together (MPI 3.1, 14.3.8). Categories do not
 * change.
 */
#include <stddef.h>
#include <string.h>

#include "tool.h"

#define INDICES_MAX 4

struct list {
    int count, indices[INDICES_MAX];
};

enum { LIBRARY, MESSAGES, THREADS, CATEGORIES };

static const struct category {
    const char *name, *description;
    struct list cvars, pvars, categories;
} categories[CATEGORIES] = {
    [LIBRARY] = {"library", "All there is", {0}, {0}, {2, {MESSAGES, THREADS}}},
    [MESSAGES] = {"messages",
                  "Messages between ranks",
                  {2, {MPI_TOOL_EAGER_BYTES, MPI_TOOL_MESSAGE_BYTES}},
                  {4, {MPI_TOOL_KEPT, MPI_TOOL_UNEXPECTED, MPI_TOOL_RECEIVED, MPI_TOOL_WAITS}},
                  {0}},
    [THREADS] = {"threads", "Threads of a rank", {1, {MPI_TOOL_THREAD_LEVEL}}, {0}, {0}},
};

/* As mpi_tool_enter; *out is a category then. MPI_T_ERR_INVALID_INDEX, and nothing is to be left.
 */
static int
enter(int cat_index, const struct category **out)
{
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    if (cat_index < 0 || cat_index >= CATEGORIES)
        return mpi_tool_leave(MPI_T_ERR_INVALID_INDEX);
    *out = &categories[cat_index];
    return MPI_SUCCESS;
}

int
PMPI_T_category_get_num(int *num_cat)
{
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    mpi_tool_set(num_cat, CATEGORIES);
    return mpi_tool_leave(num_cat != NULL ? MPI_SUCCESS : MPI_T_ERR_INVALID);
}
MPI_NAMES(T_category_get_num);

int
PMPI_T_category_get_info(int cat_index, char *name, int *name_len, char *desc, int *desc_len,
                         int *num_cvars, int *num_pvars, int *num_categories)
{
    const struct category *category;
    int err = enter(cat_index, &category);

    if (err != MPI_SUCCESS)
        return err;
    mpi_tool_text(category->name, name, name_len);
    mpi_tool_text(category->description, desc, desc_len);
    mpi_tool_set(num_cvars, category->cvars.count);
    mpi_tool_set(num_pvars, category->pvars.count);
    mpi_tool_set(num_categories, category->categories.count);
    return mpi_tool_leave(MPI_SUCCESS);
}
MPI_NAMES(T_category_get_info);

int
PMPI_T_category_get_index(const char *name, int *cat_index)
{
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    if (name == NULL || cat_index == NULL)
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    for (int i = 0; i < CATEGORIES; i++)
        if (strcmp(categories[i].name, name) == 0) {
            *cat_index = i;
            return mpi_tool_leave(MPI_SUCCESS);
        }
    return mpi_tool_leave(MPI_T_ERR_INVALID_NAME);
}
MPI_NAMES(T_category_get_index);

/* Of a list in each category, where that lies in it. */
static int
give(int cat_index, size_t where, int len, int indices[])
{
    const struct category *category;
    const struct list *list;
    int err = enter(cat_index, &category);

    if (err != MPI_SUCCESS)
        return err;
    if (len < 0 || (len > 0 && indices == NULL))
        return mpi_tool_leave(MPI_T_ERR_INVALID);
    list = (const struct list *)(const void *)((const char *)category + where);
    for (int i = 0; i < list->count && i < len; i++)
        indices[i] = list->indices[i];
    return mpi_tool_leave(MPI_SUCCESS);
}

int
PMPI_T_category_get_cvars(int cat_index, int len, int indices[])
{
    return give(cat_index, offsetof(struct category, cvars), len, indices);
}
MPI_NAMES(T_category_get_cvars);

int
PMPI_T_category_get_pvars(int cat_index, int len, int indices[])
{
    return give(cat_index, offsetof(struct category, pvars), len, indices);
}
MPI_NAMES(T_category_get_pvars);

int
PMPI_T_category_get_categories(int cat_index, int len, int indices[])
{
    return give(cat_index, offsetof(struct category, categories), len, indices);
}
MPI_NAMES(T_category_get_categories);

int
PMPI_T_category_changed(int *stamp)
{
    int err = mpi_tool_enter();

    if (err != MPI_SUCCESS)
        return err;
    mpi_tool_set(stamp, 1);
    return mpi_tool_leave(stamp != NULL ? MPI_SUCCESS : MPI_T_ERR_INVALID);
}
MPI_NAMES(T_category_changed);
