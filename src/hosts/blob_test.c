/* SPDX-License-Identifier: Apache-2.0
 *
 * Blobs: to workers that ask for them, and Proto-Faaslets that workers made.
 */
#include <openssl/sha.h>

#include "hosts/hosts_testing.h"

/* -------------------------------------------------------------------------- asking */

static void
want_blob(struct agent *a, const struct store_hash *hash)
{
    Rpc__HostWantBlob message = RPC__HOST_WANT_BLOB__INIT;

    message.hash = (ProtobufCBinaryData){sizeof(hash->bytes), (uint8_t *)(uintptr_t)hash->bytes};
    agent_say(a, RPC__HOST_UP__IS_WANT_BLOB, &message);
}

static uint8_t *
make_bytes(size_t count, unsigned seed)
{
    uint8_t *bytes = malloc(count + 1);

    assert_non_null(bytes);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 4096 + seed);
    return bytes;
}

/* Takes pieces until the last one; checks them against these bytes. */
static void
take_blob(struct agent *a, const struct store_hash *hash, const uint8_t *bytes, size_t count)
{
    size_t used = 0;
    bool is_last = false;

    while (!is_last) {
        Rpc__HostDown *down = agent_await(a, RPC__HOST_DOWN__IS_BLOB);
        const Rpc__HostBlob *blob = down->blob;

        assert_string_equal(blob->error, "");
        assert_int_equal(blob->hash.len, STORE_HASH_BYTES);
        assert_memory_equal(blob->hash.data, hash->bytes, STORE_HASH_BYTES);
        assert_true(blob->bytes.len <= HOSTS_PIECE_BYTES && blob->bytes.len <= count - used);
        assert_memory_equal(blob->bytes.data, bytes + used, blob->bytes.len);
        used += blob->bytes.len;
        is_last = blob->is_last;
        rpc__host_down__free_unpacked(down, NULL);
    }
    assert_int_equal(used, count);
}

static void
test_a_blob_comes_in_pieces_of_a_mebibyte(void **state)
{
    static const size_t counts[] = {1, HOSTS_PIECE_BYTES, HOSTS_PIECE_BYTES + 1,
                                    3 * HOSTS_PIECE_BYTES};
    struct agent a;
    struct world w;

    (void)state;
    world_init(&w);
    (void)agent_up(&a, &w, "a", 1);
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        uint8_t *bytes = make_bytes(counts[i], (unsigned)i);
        struct store_hash hash;

        assert_int_equal(store_blob_put_bytes(w.store, bytes, counts[i], &hash, NULL), 0);
        want_blob(&a, &hash);
        take_blob(&a, &hash, bytes, counts[i]);
        want_blob(&a, &hash); /* and once more */
        take_blob(&a, &hash, bytes, counts[i]);
        free(bytes);
    }
    agent_hang_up(&a);
    world_fini(&w);
}

static void
test_what_is_not_there_is_answered_with_why(void **state)
{
    static uint8_t few[] = "few";
    Rpc__HostWantBlob bad = RPC__HOST_WANT_BLOB__INIT;
    struct store_hash hash = {{1, 2, 3}};
    Rpc__HostDown *down;
    struct agent a;
    struct world w;

    (void)state;
    world_init(&w);
    (void)agent_up(&a, &w, "a", 1);
    want_blob(&a, &hash);
    down = agent_await(&a, RPC__HOST_DOWN__IS_BLOB);
    assert_memory_equal(down->blob->hash.data, hash.bytes, STORE_HASH_BYTES);
    assert_string_equal(down->blob->error, "the store has no such blob");
    rpc__host_down__free_unpacked(down, NULL);
    bad.hash = (ProtobufCBinaryData){3, few};
    agent_say(&a, RPC__HOST_UP__IS_WANT_BLOB, &bad);
    down = agent_await(&a, RPC__HOST_DOWN__IS_BLOB);
    assert_string_not_equal(down->blob->error, "");
    rpc__host_down__free_unpacked(down, NULL);
    agent_hang_up(&a);
    world_fini(&w);
}

/* Far more than sockets hold: one that does not read has its share queued and no more, and
 * keeps nobody else waiting. */
static void
test_a_worker_that_does_not_read_is_waited_for_and_holds_up_nobody(void **state)
{
    enum { COUNT = 24 << 20 };
    uint8_t *bytes = make_bytes(COUNT, 5);
    struct store_hash hash;
    struct agent lazy, quick;
    struct world w;

    (void)state;
    world_init(&w);
    assert_int_equal(store_blob_put_bytes(w.store, bytes, COUNT, &hash, NULL), 0);
    (void)agent_up(&lazy, &w, "lazy", 1);
    (void)agent_up(&quick, &w, "quick", 1);
    want_blob(&lazy, &hash);
    want_blob(&lazy, &hash); /* is the same */
    for (unsigned i = 0; i < 3; i++) {
        want_blob(&quick, &hash);
        take_blob(&quick, &hash, bytes, COUNT);
    }
    (void)pthread_mutex_lock(&w.hosts->lock);
    assert_int_equal(hosts_find(w.hosts, "lazy")->peer->sending_count, 1);
    assert_true(net_queued(hosts_find(w.hosts, "lazy")->peer->connection) <=
                HOSTS_QUEUED_MAX + 2 * HOSTS_PIECE_BYTES);
    (void)pthread_mutex_unlock(&w.hosts->lock);
    take_blob(&lazy, &hash, bytes, COUNT);
    free(bytes);
    agent_hang_up(&lazy);
    agent_hang_up(&quick);
    world_fini(&w);
}

static void
test_workers_that_go_while_they_are_served_leave_nothing(void **state)
{
    enum { COUNT = 16 << 20 };
    uint8_t *bytes = make_bytes(COUNT, 6);
    struct store_hash hash;
    struct world w;

    (void)state;
    world_init(&w);
    assert_int_equal(store_blob_put_bytes(w.store, bytes, COUNT, &hash, NULL), 0);
    for (unsigned i = 0; i < 12; i++) {
        struct agent a;

        (void)agent_up(&a, &w, "a", 1);
        want_blob(&a, &hash);
        want_blob(&a, &w.image);
        for (unsigned piece = 0; piece < i; piece++)
            agent_skip(&a, RPC__HOST_DOWN__IS_BLOB);
        agent_hang_up(&a);
        if (i < 11)
            await_host(&w, "a", 0);
    }
    free(bytes);
    world_fini(&w); /* while the last one is served */
}

/* Whether it came whole; false: an error was told. */
static bool
blob_comes(struct agent *a)
{
    for (;;) {
        Rpc__HostDown *down = agent_await(a, RPC__HOST_DOWN__IS_BLOB);
        bool is_error = down->blob->error[0] != '\0', is_last = down->blob->is_last;

        rpc__host_down__free_unpacked(down, NULL);
        if (is_error || is_last)
            return !is_error;
    }
}

static void
test_a_piece_that_fails_is_told(void **state)
{
    enum { COUNT = 2 * HOSTS_PIECE_BYTES };
    uint8_t *bytes = make_bytes(COUNT, 7);
    bool was_reached = true;
    struct store_hash hash;
    unsigned told = 0;
    struct agent a;
    struct world w;

    (void)state;
    world_init(&w);
    assert_int_equal(store_blob_put_bytes(w.store, bytes, COUNT, &hash, NULL), 0);
    (void)agent_up(&a, &w, "a", 1);
    for (unsigned nth = 1; was_reached; nth++) {
        bool has_come;

        agent_sync(&a);
        fault_arm("hosts.alloc", nth, -ENOMEM);
        want_blob(&a, &hash);
        has_come = blob_comes(&a);
        was_reached = fault_disarm();
        assert_int_equal(has_come, !was_reached);
        told += was_reached;
    }
    assert_int_equal(told, 3); /* the record, and two pieces */
    free(bytes);
    agent_hang_up(&a);
    world_fini(&w);
}

/* ------------------------------------------------------------------- Proto-Faaslets */

struct prepared {
    struct world w;
    struct agent a;
    struct asked asked;
    uint64_t call, function;
    Ledger__Prepare prepare;
    struct wanted wanted;
};

static void
prepare_ask(struct prepared *p)
{
    static char *args[] = {NULL}, *env[] = {NULL};
    Ledger__PrepareFile file = LEDGER__PREPARE_FILE__INIT, *files[] = {&file};

    args[0] = writable("python");
    env[0] = writable("A=b");
    file.path = writable("/helper.py");
    file.hash = (ProtobufCBinaryData){STORE_HASH_BYTES, p->w.model.bytes};
    ledger__prepare__init(&p->prepare);
    p->prepare.image = (ProtobufCBinaryData){STORE_HASH_BYTES, p->w.image.bytes};
    p->prepare.save_at = writable("fd_read:0");
    p->prepare.n_args = p->prepare.n_env = 1;
    p->prepare.args = args;
    p->prepare.env = env;
    p->prepare.files = files;
    p->prepare.n_files = 1;
    p->prepare.memory_bytes = 1 << 26;
    p->prepare.wall_ns = SECOND;
    (void)want(&p->wanted, "unborn", 0, 0);
    p->wanted.request.prepare = &p->prepare;
    p->call = ask_call(&p->w, &p->asked, &p->wanted.call);
    p->prepare.n_files = 0; /* it was copied */
}

static void
prepare_start(struct prepared *p)
{
    Rpc__HostDown *down;

    world_init(&p->w);
    (void)agent_up(&p->a, &p->w, "a", 2);
    prepare_ask(p);
    agent_skip(&p->a, RPC__HOST_DOWN__IS_TENANT);
    down = agent_await(&p->a, RPC__HOST_DOWN__IS_FUNCTION);
    assert_string_equal(down->function->name, "");
    assert_memory_equal(down->function->image.data, p->w.image.bytes, STORE_HASH_BYTES);
    assert_true(down->function->n_args == 1 && down->function->n_env == 1);
    assert_int_equal(down->function->limits->memory_bytes, 1 << 26);
    assert_int_equal(down->function->n_files, 1);
    assert_string_equal(down->function->files[0]->path, "/helper.py");
    assert_memory_equal(down->function->files[0]->hash.data, p->w.model.bytes, STORE_HASH_BYTES);
    p->function = down->function->number;
    rpc__host_down__free_unpacked(down, NULL);
    down = agent_await(&p->a, RPC__HOST_DOWN__IS_START);
    assert_true(down->start->has_save);
    assert_string_equal(down->start->save_at, "fd_read:0");
    assert_int_equal(down->start->wall_ns, SECOND);
    assert_int_equal(down->start->function, p->function);
    rpc__host_down__free_unpacked(down, NULL);
}

static void
prepare_finish(struct prepared *p)
{
    Rpc__HostDown *down = agent_await(&p->a, RPC__HOST_DOWN__IS_FUNCTION_GONE);

    assert_int_equal(down->function_gone->number, p->function);
    rpc__host_down__free_unpacked(down, NULL);
    agent_sync(&p->a);
    assert_true(agent_was_heard(&p->a, p->call));
    asked_fini(&p->asked);
    agent_hang_up(&p->a);
    world_fini(&p->w);
}

static void
hash_of(const uint8_t *bytes, size_t count, struct store_hash *out)
{
    (void)SHA256(bytes, count, out->bytes);
}

static void
send_piece(struct agent *a, const struct store_hash *hash, const uint8_t *bytes, size_t count,
           bool is_last)
{
    Rpc__HostBlob blob = RPC__HOST_BLOB__INIT;

    blob.hash = (ProtobufCBinaryData){STORE_HASH_BYTES, (uint8_t *)(uintptr_t)hash->bytes};
    blob.bytes = (ProtobufCBinaryData){count, (uint8_t *)(uintptr_t)bytes};
    blob.is_last = is_last;
    agent_say(a, RPC__HOST_UP__IS_BLOB, &blob);
}

static void
end_prepared(struct prepared *p, const struct store_hash *hash)
{
    Rpc__HostEnd end = RPC__HOST_END__INIT;
    Rpc__HostRun run = run_of(p->call, 1);

    end.run = &run;
    end.kind = RPC__HOST_END_KIND__HOST_END_DONE;
    if (hash != NULL)
        end.proto = (ProtobufCBinaryData){STORE_HASH_BYTES, (uint8_t *)(uintptr_t)hash->bytes};
    agent_say(&p->a, RPC__HOST_UP__IS_END, &end);
}

static void
test_a_proto_faaslet_is_in_the_store_before_its_end_is_told(void **state)
{
    enum { COUNT = (2 << 20) + 17 };
    uint8_t *bytes = make_bytes(COUNT, 8);
    struct store_hash hash;
    struct prepared p;
    uint64_t size;

    (void)state;
    prepare_start(&p);
    hash_of(bytes, COUNT, &hash);
    send_piece(&p.a, &hash, bytes, 1 << 20, false);
    send_piece(&p.a, &hash, bytes + (1 << 20), 1 << 20, false);
    send_piece(&p.a, &hash, bytes + (2 << 20), 17, true);
    end_prepared(&p, &hash);
    end_prepared(&p, &hash); /* said twice */
    assert_int_equal(asked_await(&p.asked)->kind, LEDGER__KIND__KIND_DONE);
    assert_int_equal(p.asked.call->result->proto.len, STORE_HASH_BYTES);
    assert_memory_equal(p.asked.call->result->proto.data, hash.bytes, STORE_HASH_BYTES);
    assert_int_equal(store_blob_stat(p.w.store, &hash, &size, NULL), 0);
    assert_int_equal(size, COUNT);
    free(bytes);
    prepare_finish(&p);
}

static void
test_one_that_is_in_the_store_need_not_be_sent(void **state)
{
    struct prepared p;

    (void)state;
    prepare_start(&p);
    end_prepared(&p, &p.w.model);
    assert_int_equal(asked_await(&p.asked)->kind, LEDGER__KIND__KIND_DONE);
    prepare_finish(&p);
}

enum wrong { WRONG_HASH, PART, NEVER_SENT, UNNAMED, TOLD, DISK, PIECE, WRONGS };

static void
do_wrong(struct prepared *p, enum wrong wrong)
{
    static const uint8_t bytes[] = "a proto";
    Rpc__HostBlob blob = RPC__HOST_BLOB__INIT;
    struct store_hash hash;

    hash_of(bytes, sizeof(bytes), &hash);
    hash.bytes[0] ^= wrong == WRONG_HASH;
    if (wrong == DISK)
        fault_arm("hosts.upload", 1, -EIO);
    if (wrong == PIECE)
        fault_arm("hosts.piece", 1, -ENOSPC);
    if (wrong == TOLD) {
        blob.hash = (ProtobufCBinaryData){STORE_HASH_BYTES, hash.bytes};
        blob.error = writable("no room there");
        agent_say(&p->a, RPC__HOST_UP__IS_BLOB, &blob);
    } else if (wrong != NEVER_SENT) {
        send_piece(&p->a, &hash, bytes, sizeof(bytes), wrong != PART);
    }
    end_prepared(p, wrong == UNNAMED ? NULL : &hash);
}

static void
test_what_is_wrong_with_a_proto_faaslet_fails_its_call(void **state)
{
    static const struct {
        const char *text;
        int err;
    } expected[] = {
        [WRONG_HASH] = {"another hash", -EBADMSG}, [PART] = {"only a part", -EPROTO},
        [NEVER_SENT] = {"not sent", -ENOENT},      [UNNAMED] = {"named no", -EPROTO},
        [TOLD] = {"no room there", -EIO},          [DISK] = {"Input/output", -EIO},
        [PIECE] = {"could not keep", -ENOSPC},
    };

    (void)state;
    for (enum wrong wrong = 0; wrong < WRONGS; wrong++) {
        struct prepared p;

        prepare_start(&p);
        do_wrong(&p, wrong);
        assert_int_equal(asked_await(&p.asked)->kind, LEDGER__KIND__KIND_FAILED);
        if (strstr(p.asked.call->result->message, expected[wrong].text) == NULL)
            fail_msg("%d: %s", (int)wrong, p.asked.call->result->message);
        assert_int_equal(p.asked.call->result->err, expected[wrong].err);
        assert_int_equal(p.asked.call->result->proto.len, 0);
        (void)fault_disarm();
        prepare_finish(&p);
    }
}

static void
test_blobs_that_nobody_prepares_are_not_taken(void **state)
{
    static const uint8_t bytes[] = "unasked";
    struct store_hash hash;
    struct agent a;
    struct world w;
    uint64_t size;

    (void)state;
    world_init(&w);
    (void)agent_up(&a, &w, "a", 1);
    hash_of(bytes, sizeof(bytes), &hash);
    send_piece(&a, &hash, bytes, sizeof(bytes), true);
    agent_sync(&a);
    (void)pthread_mutex_lock(&w.hosts->lock);
    assert_int_equal(hosts_find(w.hosts, "a")->peer->upload_count, 0);
    (void)pthread_mutex_unlock(&w.hosts->lock);
    assert_int_equal(store_blob_stat(w.store, &hash, &size, NULL), -ENOENT);
    agent_hang_up(&a);
    world_fini(&w);
}

static void
test_more_blobs_than_may_come_at_once_make_room_or_wait(void **state)
{
    struct prepared p;

    (void)state;
    prepare_start(&p);
    for (unsigned i = 0; i < 3 * HOSTS_UPLOADS_MAX; i++) { /* none of which an end names */
        uint8_t bytes[] = {(uint8_t)i, 1, 2};
        struct store_hash hash;

        hash_of(bytes, sizeof(bytes), &hash);
        send_piece(&p.a, &hash, bytes, sizeof(bytes), i % 2 == 0);
    }
    agent_sync(&p.a);
    agent_end(&p.a, p.call, 1, RPC__HOST_END_KIND__HOST_END_TRAP);
    assert_int_equal(asked_await(&p.asked)->kind, LEDGER__KIND__KIND_TRAP);
    prepare_finish(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_blob_comes_in_pieces_of_a_mebibyte),
        cmocka_unit_test(test_what_is_not_there_is_answered_with_why),
        cmocka_unit_test(test_a_worker_that_does_not_read_is_waited_for_and_holds_up_nobody),
        cmocka_unit_test(test_workers_that_go_while_they_are_served_leave_nothing),
        cmocka_unit_test(test_a_piece_that_fails_is_told),
        cmocka_unit_test(test_a_proto_faaslet_is_in_the_store_before_its_end_is_told),
        cmocka_unit_test(test_one_that_is_in_the_store_need_not_be_sent),
        cmocka_unit_test(test_what_is_wrong_with_a_proto_faaslet_fails_its_call),
        cmocka_unit_test(test_blobs_that_nobody_prepares_are_not_taken),
        cmocka_unit_test(test_more_blobs_than_may_come_at_once_make_room_or_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
