/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions: their Proto-Faaslets, and the Faaslets that are used again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "cell/cell_internal.h"

/* ------------------------------------------------------------------------ threads */

static bool
is_named(const struct abi_image *image, struct abi_range range, const char *text)
{
    return strlen(text) == range.count &&
           memcmp(abi_image_range(image, range), text, range.count) == 0;
}

static bool
spawns_threads(const struct abi_image *image)
{
    const struct abi_meta_import *imports = abi_image_range(image, image->meta->imports);

    for (uint32_t i = 0; i < image->meta->imports.count; i++)
        if (imports[i].kind == ABI_KIND_FUNCTION && is_named(image, imports[i].module, "wasi") &&
            is_named(image, imports[i].name, "thread-spawn"))
            return true;
    return false;
}

static bool
has_thread_start(const struct abi_image *image)
{
    const struct abi_meta_export *exports = abi_image_range(image, image->meta->exports);

    for (uint32_t i = 0; i < image->meta->exports.count; i++)
        if (exports[i].kind == ABI_KIND_FUNCTION &&
            is_named(image, exports[i].name, "wasi_thread_start"))
            return true;
    return false;
}

int
cell_threads_check(const struct faaslet_image *image, uint32_t threads_max, struct diag *diag)
{
    const struct abi_image *abi = faaslet_image_abi(image);

    if (threads_max > FAASLET_THREADS_MAX)
        return diag_set(diag, -EINVAL, "%u threads: a process has at most %u", threads_max,
                        FAASLET_THREADS_MAX);
    if (!spawns_threads(abi))
        return 0;
    if (abi->meta->mode != ABI_THREADED)
        return diag_set(diag, -EINVAL,
                        "it starts threads (it imports thread-spawn), but has no shared memory: "
                        "link with --shared-memory --max-memory=SIZE");
    if (!has_thread_start(abi))
        return diag_set(diag, -EINVAL,
                        "it starts threads (it imports thread-spawn), but does not export "
                        "wasi_thread_start");
    return 0;
}

static int
make_proto(const struct cell_function_config *config, struct faaslet_frozen **out,
           struct diag *diag)
{
    struct faaslet *faaslet;
    int err = faaslet_thread_init();

    if (err != 0)
        return diag_set(diag, err, "cannot prepare this thread: %s", strerror(-err));
    err = initialise(config, &faaslet, diag);
    if (err != 0)
        return err;
    err = faaslet_freeze(faaslet, out, diag);
    faaslet_destroy(faaslet);
    return err;
}

int
cell_function_create(struct cell *cell, const struct cell_function_config *config,
                     struct cell_function **out, struct diag *diag)
{
    struct cell_function *function;
    int err = fault_point("cell.function");

    if ((config->image == NULL) == (config->frozen == NULL))
        return diag_set(diag, -EINVAL, "a function is of an image or of a Proto-Faaslet");
    if (config->image != NULL && err == 0)
        err = cell_threads_check(config->image, config->faaslet.threads_max, diag);
    if (err == -EINVAL)
        return err;
    function = calloc(1, sizeof(*function));
    if (function == NULL || err != 0) {
        free(function);
        return diag_set(diag, -ENOMEM, "no memory for a function");
    }
    function->cell = cell;
    function->references = 1;
    function->config = config->faaslet;
    function->config.owner = &thread_owner;
    function->wall_ns_max = config->wall_ns_max;
    function->warm_max = config->warm_max != 0 ? config->warm_max : CELL_WARM_DEFAULT;
    function->run_ns = CELL_LENT_NS + 1; /* it is not known */
    if (config->frozen != NULL)
        function->proto = faaslet_frozen_get(config->frozen);
    else
        err = make_proto(config, &function->proto, diag);
    if (err != 0) {
        free(function);
        return err;
    }
    function->is_mid_run = faaslet_frozen_is_running(function->proto);
    function->config.process = NULL;
    function->config.process_is_given = true; /* every call brings its own */
    *out = function;
    return 0;
}

struct faaslet_frozen *
cell_function_proto(const struct cell_function *function)
{
    return function->proto;
}

/* ---------------------------------------------------------------------------- warm */

void
warm_destroy(struct warm *warm)
{
    while (warm != NULL) {
        struct warm *beneath = warm->beneath;

        faaslet_destroy(warm->faaslet);
        free(warm);
        warm = beneath;
    }
}

struct warm *
function_take_warm(struct cell_function *function)
{
    struct warm *all = function->warm;

    for (struct warm *warm = all; warm != NULL; warm = warm->beneath) {
        list_remove(&warm->link);
        function->cell->slots_in_use--;
        function->cell->usage.warm--;
    }
    function->warm = NULL;
    function->warm_count = 0;
    return all;
}

void
function_put(struct cell_function *function)
{
    struct cell *cell = function->cell;
    struct warm *warm = NULL;
    bool is_last;

    (void)pthread_mutex_lock(&cell->lock);
    is_last = --function->references == 0;
    if (is_last || function->is_dropped) {
        warm = function_take_warm(function);
        if (warm != NULL)
            cell_feed(cell);
    }
    (void)pthread_mutex_unlock(&cell->lock);
    warm_destroy(warm);
    if (!is_last)
        return;
    faaslet_frozen_destroy(function->proto);
    free(function);
}

void
cell_function_drop(struct cell_function *function)
{
    if (function == NULL)
        return;
    (void)pthread_mutex_lock(&function->cell->lock);
    function->is_dropped = true;
    (void)pthread_mutex_unlock(&function->cell->lock);
    function_put(function);
}

struct faaslet *
warm_take(struct warm *warm)
{
    struct cell_function *function = warm->function;
    struct faaslet *faaslet = warm->faaslet;
    struct warm **at = &function->warm;

    while (*at != warm)
        at = &(*at)->beneath;
    *at = warm->beneath;
    function->warm_count--;
    function->cell->usage.warm--;
    list_remove(&warm->link);
    free(warm);
    return faaslet;
}

void
function_return(struct cell *cell, struct cell_function *function, struct faaslet *faaslet)
{
    struct warm *warm = calloc(1, sizeof(*warm));
    /* The record of the call that is over must not be used; a start sets its own. */
    bool is_kept = warm != NULL && faaslet_reset(faaslet, function->proto, cell, NULL) == 0;

    (void)pthread_mutex_lock(&cell->lock);
    is_kept = is_kept && !function->is_dropped && !cell->is_ending &&
              function->warm_count < function->warm_max;
    if (is_kept) {
        *warm = (struct warm){.beneath = function->warm, .function = function, .faaslet = faaslet};
        function->warm = warm;
        function->warm_count++;
        cell->usage.warm++;
        list_append(&cell->warm, &warm->link);
    } else {
        cell->slots_in_use--;
    }
    cell_feed(cell);
    (void)pthread_mutex_unlock(&cell->lock);
    if (is_kept)
        return;
    free(warm);
    faaslet_destroy(faaslet);
}
