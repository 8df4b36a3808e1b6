/* SPDX-License-Identifier: Apache-2.0
 *
 * diff: makes a module that differs smaller, by leaving out more and more of what
 * the generator would have made.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff_internal.h"

/* Is it still a difference, with these cuts? A crash of Weft is one. */
static int
still_differs(struct diff_case *it, struct peer *peer, bool *out, struct diag *diag)
{
    struct buffer text = {0};
    int err = diff_case_make(it, it->seed, false, diag);

    *out = false;
    if (err == 0)
        err = diff_case_run_reference(it, peer, diag);
    if (err == 0)
        err = diff_case_run_weft(it, true, diag);
    if (err == -ETIMEDOUT)
        return 0;
    if (err == 0)
        *out = diff_logs(it, &text) == DIFF_DIFFERENT;
    buffer_fini(&text);
    return err;
}

static int
try_cut(struct diff_case *it, struct peer *peer, size_t first, size_t count, struct diag *diag)
{
    bool differs, is_new = false;
    uint8_t *before = malloc(it->cut_count);
    int err;

    if (before == NULL)
        return -ENOMEM;
    (void)memcpy(before, it->cuts, it->cut_count);
    for (size_t i = first; i < first + count && i < it->cut_count; i++) {
        is_new = is_new || it->cuts[i] == 0;
        it->cuts[i] = 1;
    }
    err = is_new ? still_differs(it, peer, &differs, diag) : 0;
    if (is_new && (err != 0 || !differs))
        (void)memcpy(it->cuts, before, it->cut_count);
    free(before);
    return err;
}

int
diff_case_reduce(struct diff_case *it, struct peer *peer, struct diag *diag)
{
    bool differs;
    int err = 0;

    it->has_variant = true;
    it->cut_count = it->node_count;
    it->cuts = calloc(it->cut_count, 1);
    if (it->cuts == NULL)
        return -ENOMEM;
    for (size_t chunk = it->cut_count; err == 0 && chunk > 0; chunk /= 2) {
        for (size_t i = 0; err == 0 && i < it->cut_count; i += chunk)
            err = try_cut(it, peer, i, chunk, diag);
        (void)fprintf(stderr, "reduce: pieces of %zu: module of %zu bytes\n", chunk,
                      it->modules[0].count + it->modules[1].count);
    }
    if (err == 0)
        err = still_differs(it, peer, &differs, diag);
    return err;
}
