/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of cells that are served: the cell is a thread of the test.
 */
#ifndef WEFT_TESTS_CELL_THREAD_H
#define WEFT_TESTS_CELL_THREAD_H

#include "cell_client.h"

#include <pthread.h>

#include "cell/cell.h"

struct serving {
    pthread_t thread;
    int socket, err;
    char text[DIAG_TEXT_MAX];
};

static void *
serve_main(void *object)
{
    struct serving *serving = object;
    struct diag diag;

    diag_init(&diag);
    serving->err = cell_serve(serving->socket, NULL, &diag);
    (void)snprintf(serving->text, sizeof(serving->text), "%s", diag_text(&diag));
    return NULL;
}

static void
client_begin(struct client *client, int socket)
{
    struct serving *serving = calloc(1, sizeof(*serving));

    assert_non_null(serving);
    serving->socket = socket;
    client->cell = serving;
    assert_int_equal(pthread_create(&serving->thread, NULL, serve_main, serving), 0);
}

static int
client_finish(struct client *client)
{
    struct serving *serving = client->cell;
    int err;

    assert_int_equal(pthread_join(serving->thread, NULL), 0);
    err = serving->err;
    assert_true(err == 0 || serving->text[0] != '\0');
    free(serving);
    return err;
}

#endif
