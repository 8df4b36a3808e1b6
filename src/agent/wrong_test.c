/* SPDX-License-Identifier: Apache-2.0
 *
 * Words that are none, agents that cannot be, and how they end; its cells are doubles.
 */
#include "agent/agent_testing.h"

#define DONE RPC__HOST_END_KIND__HOST_END_DONE

static const char double_program[] = "test/worker/double";

/* ----------------------------------------------------------------------- what is wrong */

static void
test_what_is_no_word_ends_the_connection(void **state)
{
    static const struct {
        const char *bytes;
        size_t count;
    } cases[] = {{"", 0}, {"\xff\xff\xff", 3}, {"\x32\x02\x0a\x05", 4}, {"\x7a\x00", 2}};
    struct planner planner;

    (void)state;
    planner_open_function(&planner);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        planner_call(&planner, 5 + i, 1, "echo");
        rpc__host_up__free_unpacked(planner_hear_end(&planner, 5 + i), NULL);
        assert_int_equal(net_send(planner.connection, cases[i].bytes, cases[i].count, NULL, 0), 0);
        planner_register(&planner, false);
    }
    planner_call(&planner, 50, 1, "echo");
    planner_expect(&planner, 50, DONE, "");
    planner_stop(&planner);
}

static void
test_a_first_word_that_is_no_welcome_is_refused(void **state)
{
    struct planner planner;

    (void)state;
    planner_start(&planner);
    planner_start_agent(&planner, double_program);
    rpc__host_up__free_unpacked(planner_greet(&planner), NULL);
    planner_tenant(&planner, "a");
    rpc__host_up__free_unpacked(planner_greet(&planner), NULL);
    planner.life = 0;
    planner_welcome(&planner, NULL, 0);
    rpc__host_up__free_unpacked(planner_greet(&planner), NULL);
    planner.life = 7;
    planner.beat_ns = 0;
    planner_welcome(&planner, NULL, 0);
    rpc__host_up__free_unpacked(planner_greet(&planner), NULL);
    planner.beat_ns = planner.silence_ns + 1;
    planner_welcome(&planner, NULL, 0);
    rpc__host_up__free_unpacked(planner_greet(&planner), NULL);
    planner_stop(&planner);
}

static void
test_words_without_what_they_are_about_are_passed_over(void **state)
{
    Rpc__HostDown down = RPC__HOST_DOWN__INIT;
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostStop stop = RPC__HOST_STOP__INIT;
    Rpc__HostChainEnd chain_end = RPC__HOST_CHAIN_END__INIT;
    Rpc__HostRun run = testing_run(1);
    struct planner planner;

    (void)state;
    planner_open_function(&planner);
    planner_start_call(&planner, &start);
    run.members = 0;
    start.run = &run;
    planner_start_call(&planner, &start);
    down.is_case = RPC__HOST_DOWN__IS_STOP;
    down.stop = &stop;
    planner_send(&planner, &down);
    down.is_case = RPC__HOST_DOWN__IS_CHAIN_END;
    down.chain_end = &chain_end;
    planner_send(&planner, &down);
    planner_say_stop(&planner, 12345);
    planner_heard(&planner, 12345);
    planner_tenant(&planner, "");
    planner_call(&planner, 5, 1, "echo");
    planner_expect(&planner, 5, DONE, "");
    planner_stop(&planner);
}

static uint32_t
random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

/* Words that are well, packed one after the other. */
static void
pack_words(uint8_t *room, size_t lengths[4], struct store_hash *image)
{
    Rpc__HostRun run = testing_run(900), *runs[1] = {&run};
    Rpc__HostStart start = RPC__HOST_START__INIT;
    Rpc__HostHeard heard = RPC__HOST_HEARD__INIT;
    Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;
    Rpc__HostBlob blob = RPC__HOST_BLOB__INIT;
    Rpc__HostDown down[4];
    size_t at = 0;

    start.run = &run;
    start.function = 1;
    start.entry = (char *)(uintptr_t)"echo";
    heard.ends = runs;
    heard.n_ends = 1;
    function.number = 900;
    function.tenant = (char *)(uintptr_t)"a";
    function.image = blob.hash = blob.bytes = testing_hash(image);
    for (unsigned i = 0; i < 4; i++)
        rpc__host_down__init(&down[i]);
    down[0].is_case = RPC__HOST_DOWN__IS_START;
    down[0].start = &start;
    down[1].is_case = RPC__HOST_DOWN__IS_HEARD;
    down[1].heard = &heard;
    down[2].is_case = RPC__HOST_DOWN__IS_FUNCTION;
    down[2].function = &function;
    down[3].is_case = RPC__HOST_DOWN__IS_BLOB;
    down[3].blob = &blob;
    for (unsigned i = 0; i < 4; i++) {
        lengths[i] = rpc__host_down__pack(&down[i], room + at);
        at += lengths[i];
    }
}

/* Over a new connection where the last one is over. */
static void
send_mutated(struct planner *planner, const uint8_t *word, size_t count, uint64_t *state)
{
    uint8_t bytes[256];
    unsigned changes = random_next(state) % 4;

    assert_true(count <= sizeof(bytes));
    (void)memcpy(bytes, word, count);
    for (unsigned i = 0; i < changes; i++)
        bytes[random_next(state) % count] = (uint8_t)random_next(state);
    if (net_send(planner->connection, bytes, count, NULL, 0) != 0)
        planner_register(planner, false);
}

static void
test_words_with_mistakes_do_no_harm(void **state)
{
    struct store_hash image = {{5}};
    struct planner planner;
    uint8_t room[1024];
    uint64_t seed = 20260;
    size_t lengths[4];

    (void)state;
    planner_open_function(&planner);
    planner.serves_blobs = false;
    pack_words(room, lengths, &image);
    for (unsigned i = 0; i < 400; i++) {
        const uint8_t *word = room;

        unsigned which = random_next(&seed) % 4;

        for (unsigned before = 0; before < which; before++)
            word += lengths[before];
        send_mutated(&planner, word, lengths[which], &seed);
    }
    planner_cut(&planner);
    planner.serves_blobs = true;
    planner.life++;
    planner_register(&planner, false);
    image = planner_put(&planner, "an image", 8);
    planner_tenant(&planner, "b");
    {
        Rpc__HostFunction function = RPC__HOST_FUNCTION__INIT;

        function.number = 1;
        function.tenant = (char *)(uintptr_t)"b";
        function.image = testing_hash(&image);
        planner_function(&planner, &function);
    }
    planner_call(&planner, 5, 1, "echo");
    planner_expect(&planner, 5, DONE, "");
    planner_stop(&planner);
}

/* ---------------------------------------------------------------------- create, destroy */

static void
expect_refused(struct agent_config config, int err)
{
    struct agent *agent = NULL;
    struct diag diag;
    int found;

    diag_init(&diag);
    found = agent_create(&config, &agent, &diag);
    assert_true(found < 0 && (err == 0 || found == err));
    assert_true(diag_text(&diag)[0] != '\0');
    assert_null(agent);
}

static void
test_what_cannot_be_is_refused_at_once(void **state)
{
    static const char *const addresses[] = {"", "host", "host:", "host:0", "unix:x", ",,"};
    struct agent_config config, bad;
    struct planner planner;
    unsigned before;

    (void)state;
    planner_start(&planner);
    config = bad = planner_config(&planner, double_program);
    before = testing_count_fds();
    bad.key = NULL;
    expect_refused(bad, -EINVAL);
    bad = config;
    bad.name = "host one";
    expect_refused(bad, -EINVAL);
    bad = config;
    bad.zone = "";
    expect_refused(bad, -EINVAL);
    bad = config;
    for (size_t i = 0; i < ARRAY_COUNT(addresses); i++) {
        bad.planner = addresses[i];
        expect_refused(bad, -EINVAL);
    }
    bad = config;
    bad.slots = 1u << 30;
    expect_refused(bad, -EINVAL);
    bad = config;
    bad.cell_program = "/none";
    expect_refused(bad, -ENOENT);
    bad.data = "/proc/none";
    expect_refused(bad, 0);
    assert_int_equal(testing_count_fds(), before);
    planner_stop(&planner);
}

static void
test_a_directory_is_one_agents(void **state)
{
    struct planner planner;

    (void)state;
    planner_start(&planner);
    planner_start_agent(&planner, double_program);
    expect_refused(planner_config(&planner, double_program), -EBUSY);
    agent_destroy(planner.agent);
    planner_start_agent(&planner, double_program);
    planner_stop(&planner);
}

static void
stage_nothing(struct planner *planner)
{
    (void)planner;
}

static void
stage_no_planner(struct planner *planner)
{
    (void)close(planner->listening);
    planner->listening = -1;
}

static void
stage_mute(struct planner *planner)
{
    planner_poll(planner->listening, POLLIN);
}

static void
stage_greeted(struct planner *planner)
{
    rpc__host_up__free_unpacked(planner_greet(planner), NULL);
}

static void
stage_running(struct planner *planner)
{
    struct store_hash image = planner_put(planner, "an image", 8);

    planner_register(planner, true);
    planner_tenant(planner, "a");
    planner_function_of(planner, 1, &image);
    for (uint64_t call = 1; call < 6; call++)
        planner_call(planner, call, 1, "nothing");
    planner_call(planner, 6, 1, "echo");
    rpc__host_up__free_unpacked(planner_hear_end(planner, 6), NULL);
}

static void
stage_fetching(struct planner *planner)
{
    struct store_hash image = {{1}};

    planner->serves_blobs = false;
    planner_register(planner, true);
    planner_tenant(planner, "a");
    planner_function_of(planner, 1, &image);
    planner_call(planner, 1, 1, "echo");
    rpc__host_up__free_unpacked(planner_hear(planner, RPC__HOST_UP__IS_WANT_BLOB), NULL);
}

static void
stage_piece(struct planner *planner)
{
    struct store_hash image = {{1}};
    const ProtobufCBinaryData name = testing_hash(&image);

    stage_fetching(planner);
    planner_send_blob(planner, &name, &(ProtobufCBinaryData){4, image.bytes}, false, "");
}

static void
stage_preparing(struct planner *planner)
{
    struct store_hash image = planner_put(planner, "an image", 8);

    planner_register(planner, true);
    planner_tenant(planner, "a");
    for (uint64_t function = 1; function < 20; function++) {
        planner_function_of(planner, function, &image);
        planner_call(planner, function, function, "nothing");
    }
}

static void
stage_cut(struct planner *planner)
{
    stage_running(planner);
    planner_cut(planner);
}

static void
test_destroy_ends_it_at_every_stage(void **state)
{
    static void (*const stages[])(struct planner *planner) = {
        stage_nothing,  stage_no_planner, stage_mute,      stage_greeted, stage_running,
        stage_fetching, stage_piece,      stage_preparing, stage_cut,
    };
    unsigned before = testing_count_fds();

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(stages); i++) {
        struct planner planner;

        planner_start(&planner);
        planner_start_agent(&planner, double_program);
        stages[i](&planner);
        planner_stop(&planner);
        assert_int_equal(testing_count_fds(), before);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_word_ends_the_connection),
        cmocka_unit_test(test_a_first_word_that_is_no_welcome_is_refused),
        cmocka_unit_test(test_words_without_what_they_are_about_are_passed_over),
        cmocka_unit_test(test_words_with_mistakes_do_no_harm),
        cmocka_unit_test(test_what_cannot_be_is_refused_at_once),
        cmocka_unit_test(test_a_directory_is_one_agents),
        cmocka_unit_test(test_destroy_ends_it_at_every_stage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
