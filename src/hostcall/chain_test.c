/* SPDX-License-Identifier: Apache-2.0
 *
 * Weft's own imports, with somebody who only pretends to start calls.
 */
#include "hostcall/hostcall_test.h"

#include <sched.h>

#include "base/fault.h"

#define GUEST_HANDLES 512u
#define GUEST_ENDS    2048u
#define CALLS         4u
#define SELF          77u

static const int in_memory[3] = {HOSTCALL_MEMORY, HOSTCALL_MEMORY, HOSTCALL_MEMORY};

/* Handles are 1 to CALLS; 0 is none. */
struct owner {
    struct hostcall_chain chain;
    int err; /* of the next start */
    char reference[64];
    struct hostcall_chain_start started;
    char input[64];
    uint64_t count, cancelled, forgotten, polled;
    struct hostcall_chain_end ends[CALLS + 1];
};

static struct owner owner;

static int
owner_start(void *context, uint64_t call, const struct hostcall_chain_start *start,
            uint64_t *handle)
{
    assert_ptr_equal(context, &owner);
    assert_int_equal(call, SELF);
    if (owner.err != 0)
        return owner.err;
    owner.started = *start;
    (void)snprintf(owner.reference, sizeof(owner.reference), "%s",
                   start->reference != NULL ? start->reference : "");
    (void)snprintf(owner.input, sizeof(owner.input), "%.*s", (int)start->input_bytes,
                   (const char *)start->input);
    *handle = ++owner.count;
    return 0;
}

static bool
is_handle(uint64_t call, uint64_t handle)
{
    assert_int_equal(call, SELF);
    return handle > 0 && handle <= owner.count;
}

static int64_t
owner_poll(void *context, uint64_t call, const uint64_t *handles, size_t count)
{
    (void)context;
    owner.polled++;
    for (size_t i = 0; i < count; i++) {
        if (!is_handle(call, handles[i]))
            return -EBADF;
        if (owner.ends[handles[i]].kind != HOSTCALL_RUNNING)
            return (int64_t)i;
    }
    return (int64_t)count;
}

static int
owner_end(void *context, uint64_t call, uint64_t handle, struct hostcall_chain_end *end)
{
    (void)context;
    if (!is_handle(call, handle))
        return -EBADF;
    *end = owner.ends[handle];
    return 0;
}

static int
owner_read(void *context, uint64_t call, uint64_t handle, enum hostcall_stream stream,
           struct hostcall_chain_read *read)
{
    static const char text[] = "result";

    (void)context;
    if (!is_handle(call, handle))
        return -EBADF;
    if (owner.ends[handle].kind == HOSTCALL_RUNNING)
        return -EAGAIN;
    assert_int_equal(stream, HOSTCALL_STREAM_RESULT);
    read->done = read->offset < 6 ? 6 - read->offset : 0;
    read->done = read->done < read->bytes ? read->done : read->bytes;
    (void)memcpy(read->to, text + read->offset, read->done);
    return 0;
}

static int
owner_cancel(void *context, uint64_t call, uint64_t handle)
{
    (void)context;
    owner.cancelled = handle;
    return is_handle(call, handle) ? 0 : -EBADF;
}

static int
owner_forget(void *context, uint64_t call, uint64_t handle)
{
    (void)context;
    owner.forgotten = handle;
    return is_handle(call, handle) ? 0 : -EBADF;
}

static const struct hostcall_chain_ops owner_ops = {owner_start, owner_poll,   owner_end,
                                                    owner_read,  owner_cancel, owner_forget};

static void
use(struct guest *guest, struct hostcall_config config)
{
    int stdio[3];

    hostcall_process_ops.destroy(guest->process);
    (void)memcpy(stdio, guest->stdio, sizeof(stdio));
    (void)memcpy(guest->stdio, in_memory, sizeof(stdio));
    assert_int_equal(guest_create_with(guest, &config), 0);
    (void)memcpy(guest->stdio, stdio, sizeof(stdio));
    guest->module = "weft";
}

static struct hostcall_config
config_of(const char *input)
{
    return (struct hostcall_config){.input = input,
                                    .input_bytes = strlen(input),
                                    .call = SELF,
                                    .function = "sum",
                                    .tenant = "alice",
                                    .pointer = 9,
                                    .processors = 3,
                                    .chain = &owner.chain};
}

static int
chain_setup(void **state)
{
    int err = guest_setup(state);

    (void)memset(&owner, 0, sizeof(owner));
    owner.chain.ops = &owner_ops;
    owner.chain.context = &owner;
    assert_int_equal(hostcall_chain_register(&owner.chain), 0);
    use(*state, config_of("0123456789"));
    return err;
}

static int
chain_teardown(void **state)
{
    int err = guest_teardown(state);

    hostcall_chain_unregister(&owner.chain);
    return err;
}

/* As a move does it. */
static void
move(struct guest *guest)
{
    struct buffer frozen = {0};
    void *thawed;

    assert_int_equal(hostcall_process_ops.freeze(guest->process, &frozen), 0);
    assert_int_equal(hostcall_process_ops.thaw(frozen.bytes, frozen.count, &thawed), 0);
    hostcall_process_ops.destroy(guest->process);
    guest->process = thawed;
    buffer_fini(&frozen);
}

static int
chain(struct guest *guest, const char *reference, const char *input)
{
    uint32_t bytes = guest_text(guest, GUEST_BUFFER, input);

    return CALL(guest, "chain", PATH(guest, reference), GUEST_BUFFER, bytes, 0, 5, GUEST_RESULT);
}

static void
put_handles(struct guest *guest, const uint64_t *handles, size_t count)
{
    (void)memcpy(guest->memory + GUEST_HANDLES, handles, count * sizeof(*handles));
}
#define HANDLES(guest, ...) \
    put_handles(guest, (const uint64_t[]){__VA_ARGS__}, \
                sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static int
await(struct guest *guest, uint32_t count, bool is_all, int64_t timeout_ns)
{
    return CALL(guest, "await", GUEST_HANDLES, count, is_all, (uint64_t)timeout_ns, GUEST_ENDS,
                GUEST_RESULT);
}

static void
assert_end(const struct guest *guest, uint32_t place, uint32_t status, uint32_t code)
{
    assert_int_equal(guest_u32(guest, GUEST_ENDS + 16 * place), status);
    assert_int_equal(guest_u32(guest, GUEST_ENDS + 16 * place + 4), code);
}

/* ---------------------------------------------------------------------------- itself */

static void
test_input_is_read_at_any_offset(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(CALL(guest, "input_read", 3, GUEST_BUFFER, 4, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 4);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "3456", 4);
    assert_int_equal(CALL(guest, "input_read", 8, GUEST_BUFFER, 4, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 2);
    assert_int_equal(CALL(guest, "input_read", UINT32_MAX, GUEST_BUFFER, 4, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 0);
    assert_int_equal(CALL(guest, "input_read", 0, GUEST_MEMORY_BYTES - 3, 4, GUEST_RESULT),
                     E_FAULT);
    assert_int_equal(CALL(guest, "input_read", 0, GUEST_BUFFER, 4, GUEST_MEMORY_BYTES), E_FAULT);
    guest->function = hostcall_resolve("weft", 4, "input_size", 10);
    assert_int_equal(guest_again(guest), 10);
}

static void
test_the_result_is_apart_from_output_and_log(void **state)
{
    struct guest *guest = *state;
    const uint8_t *bytes;
    size_t count;

    (void)guest_text(guest, GUEST_BUFFER, "abcdef");
    assert_int_equal(CALL(guest, "output", GUEST_BUFFER, 3), 0);
    move(guest);
    assert_int_equal(CALL(guest, "output", GUEST_BUFFER + 3, 3), 0);
    assert_int_equal(CALL(guest, "output", GUEST_BUFFER, 0), 0);
    assert_int_equal(CALL(guest, "output", GUEST_MEMORY_BYTES - 1, 2), E_FAULT);
    bytes = hostcall_process_output(guest->process, HOSTCALL_RESULT, &count);
    assert_int_equal(count, 6);
    assert_memory_equal(bytes, "abcdef", 6);
    (void)hostcall_process_output(guest->process, 1, &count);
    assert_int_equal(count, 0);
    fault_arm("hostcall.memory", 1, -ENOMEM);
    assert_int_equal(CALL(guest, "output", GUEST_BUFFER, 3), 48);
    assert_true(fault_disarm());
    assert_int_equal(CALL(guest, "output", GUEST_BUFFER, 1), 0);
    (void)hostcall_process_output(guest->process, HOSTCALL_RESULT, &count);
    assert_int_equal(count, 7);
}

static void
test_the_result_counts_as_output(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = config_of("");

    config.output_max = 10;
    use(guest, config);
    assert_int_equal(CALL(guest, "output", GUEST_BUFFER, 6), 0);
    assert_int_equal(CALL(guest, "log", 1, GUEST_BUFFER, 6), -1);
    assert_int_equal(guest->verdict, FAASLET_CALL_LIMIT);
    assert_int_equal(CALL(guest, "output", GUEST_BUFFER, 5), -1);
    assert_int_equal(guest->verdict, FAASLET_CALL_LIMIT);
    assert_int_equal(guest->call.limit, FAASLET_LIMIT_OUTPUT);
    assert_int_equal(CALL(guest, "output", GUEST_BUFFER, 4), 0);
}

static void
test_a_call_knows_who_it_is_wherever_it_goes_on(void **state)
{
    struct guest *guest = *state;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(CALL(guest, "identity", 0, GUEST_BUFFER, 2, GUEST_RESULT), 0);
        assert_int_equal(guest_u32(guest, GUEST_RESULT), 3);
        assert_memory_equal(guest->memory + GUEST_BUFFER, "su\0", 3);
        assert_int_equal(CALL(guest, "identity", 1, GUEST_BUFFER, 64, GUEST_RESULT), 0);
        assert_int_equal(guest_u32(guest, GUEST_RESULT), 5);
        assert_memory_equal(guest->memory + GUEST_BUFFER, "alice", 5);
        guest->function = hostcall_resolve("weft", 4, "call_id", 7);
        assert_int_equal(guest_again(guest), SELF);
        guest->function = hostcall_resolve("weft", 4, "pointer", 7);
        assert_int_equal(guest_again(guest), 9);
        guest->function = hostcall_resolve("weft", 4, "processors", 10);
        assert_int_equal(guest_again(guest), 3);
        (void)memset(guest->memory + GUEST_BUFFER, 0, 64);
        move(guest);
    }
    assert_int_equal(CALL(guest, "identity", 3, GUEST_BUFFER, 64, GUEST_RESULT), E_INVAL);
}

static void
test_the_processors_are_those_of_the_host_unless_said(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = config_of("");
    cpu_set_t set;

    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    config.processors = 0;
    use(guest, config);
    guest->function = hostcall_resolve("weft", 4, "processors", 10);
    assert_int_equal(guest_again(guest), CPU_COUNT(&set));
    config.processors = UINT32_MAX; /* more than a guest can be told */
    use(guest, config);
    guest->function = hostcall_resolve("weft", 4, "processors", 10);
    assert_int_equal(guest_again(guest), INT32_MAX);
}

static void
test_the_time_that_is_left_becomes_less(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = config_of("");
    uint64_t left;

    guest->function = hostcall_resolve("weft", 4, "deadline_left", 13);
    (void)guest_again(guest);
    assert_int_equal(guest->args[0], INT64_MAX); /* none */
    config.deadline_ns = clock_now_ns() + UINT64_C(3600) * CLOCK_NS_PER_SECOND;
    use(guest, config);
    (void)guest_again(guest);
    left = guest->args[0];
    assert_in_range(left, 1, UINT64_C(3600) * CLOCK_NS_PER_SECOND);
    move(guest);
    (void)guest_again(guest);
    assert_in_range(guest->args[0], 1, left);
    config.deadline_ns = 1;
    use(guest, config);
    (void)guest_again(guest);
    assert_int_equal(guest->args[0], 0);
}

static void
test_a_log_is_one_line_whatever_it_says(void **state)
{
    struct guest *guest = *state;
    const uint8_t *bytes;
    size_t count;
    uint32_t length = guest_text(guest, GUEST_BUFFER, "two\nlines");

    assert_int_equal(CALL(guest, "log", 2, GUEST_BUFFER, length), 0);
    bytes = hostcall_process_output(guest->process, 2, &count);
    assert_int_equal(count, 19);
    assert_memory_equal(bytes, "warning: two lines\n", 19);
    assert_int_equal(CALL(guest, "log", 4, GUEST_BUFFER, length), E_INVAL);
    assert_int_equal(CALL(guest, "log", 0, GUEST_BUFFER, 8193), 35);
    assert_int_equal(CALL(guest, "log", 0, GUEST_MEMORY_BYTES, 1), E_FAULT);
}

static void
test_a_log_waits_for_a_pipe_that_takes_a_part(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = config_of("");
    static char taken[131072];
    size_t count = 0;
    ssize_t got;

    assert_int_equal(fcntl(guest->stdio[2], F_SETPIPE_SZ, 4096), 4096);
    assert_int_equal(fcntl(guest->stdio[2], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(guest->peer[2], F_SETFL, O_NONBLOCK), 0);
    hostcall_process_ops.destroy(guest->process);
    assert_int_equal(guest_create_with(guest, &config), 0);
    (void)memset(guest->memory + GUEST_BUFFER, 'x', 8000);
    assert_int_equal(CALL(guest, "log", 1, GUEST_BUFFER, 8000), -1);
    for (int i = 0; i < 10 && guest->verdict == FAASLET_CALL_PENDING; i++) {
        while ((got = read(guest->peer[2], taken + count, sizeof(taken) - count)) > 0)
            count += (size_t)got;
        assert_int_equal(guest->wait.fd_count, 1);
        (void)guest_again(guest);
    }
    assert_int_equal(guest->verdict, FAASLET_CALL_DONE);
    while ((got = read(guest->peer[2], taken + count, sizeof(taken) - count)) > 0)
        count += (size_t)got;
    assert_int_equal(count, 8007);
    assert_memory_equal(taken, "info: xxx", 9);
    assert_memory_equal(taken + 8004, "xx\n", 3);
}

/* -------------------------------------------------------------------------- chaining */

static void
test_who_cannot_start_calls_hears_so(void **state)
{
    struct guest *guest = *state;
    struct hostcall_config config = config_of("");

    config.chain = NULL;
    use(guest, config);
    HANDLES(guest, 1);
    assert_int_equal(chain(guest, "f", "x"), 52);
    assert_int_equal(await(guest, 1, false, 0), 52);
    assert_int_equal(CALL(guest, "cancel", 1), 52);
    assert_int_equal(CALL(guest, "forget", 1), 52);
    assert_int_equal(CALL(guest, "read", 1, 0, 0, GUEST_BUFFER, 1, GUEST_RESULT), 52);
}

static void
test_a_call_is_started_by_name_and_by_pointer(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(chain(guest, "other/sum:stable", "input"), 0);
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 1);
    assert_string_equal(owner.reference, "other/sum:stable");
    assert_string_equal(owner.input, "input");
    assert_int_equal(owner.started.wall_ns, 5);
    assert_false(owner.started.is_detached);
    assert_int_equal(CALL(guest, "chain_pointer", 3, GUEST_BUFFER, 2, 1, 0, GUEST_RESULT), 0);
    assert_null(owner.started.reference);
    assert_int_equal(owner.started.pointer, 3);
    assert_true(owner.started.is_detached);
    assert_string_equal(owner.input, "in");
    assert_int_equal(guest_u64(guest, GUEST_RESULT), 2);
}

static void
test_what_cannot_be_started_is_refused(void **state)
{
    static const struct {
        int err, seen;
        bool is_limit;
    } cases[] = {{-EMFILE, E_MFILE, true},
                 {-ELOOP, E_LOOP, true},
                 {-EAGAIN, E_AGAIN, true},
                 {-ENOENT, E_NOENT, false}};
    struct guest *guest = *state;

    assert_int_equal(chain(guest, "", ""), E_INVAL);
    assert_int_equal(chain(guest, "two words", ""), E_INVAL);
    assert_int_equal(chain(guest, "\xc3\xa9", ""), E_INVAL);
    assert_int_equal(CALL(guest, "chain", GUEST_BUFFER, 256, 0, 0, 0, 0, GUEST_RESULT),
                     E_NAMETOOLONG);
    assert_int_equal(CALL(guest, "chain", PATH(guest, "f"), 0, 0, 2, 0, GUEST_RESULT), E_INVAL);
    assert_int_equal(CALL(guest, "chain", PATH(guest, "f"), 0, 0, 0, 0, GUEST_MEMORY_BYTES - 7),
                     E_FAULT);
    assert_int_equal(CALL(guest, "chain", PATH(guest, "f"), 1, GUEST_MEMORY_BYTES, 0, 0, 0),
                     E_FAULT);
    assert_int_equal(CALL(guest, "chain_pointer", 0, 0, 0, 0, 0, GUEST_RESULT), E_INVAL);
    assert_int_equal(owner.count, 0);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        guest->refused = 0;
        owner.err = cases[i].err;
        assert_int_equal(chain(guest, "f", ""), cases[i].seen);
        assert_int_equal(guest->refused, cases[i].is_limit ? 1u << FAASLET_LIMIT_CALLS : 0);
    }
}

static void
test_any_is_the_first_that_is_over(void **state)
{
    struct guest *guest = *state;

    for (unsigned i = 0; i < CALLS; i++)
        assert_int_equal(chain(guest, "f", ""), 0);
    HANDLES(guest, 1, 2, 3);
    assert_int_equal(await(guest, 3, false, 0), 73);
    assert_int_equal(await(guest, 3, false, -1), -1);
    assert_int_equal(guest->verdict, FAASLET_CALL_PENDING);
    assert_int_equal(guest->wait.deadline_ns, CLOCK_NEVER_NS);
    move(guest);
    assert_int_equal(guest_again(guest), -1);
    owner.ends[3] = (struct hostcall_chain_end){HOSTCALL_EXIT, 7, {5, 0, 0, 2}};
    assert_int_equal(guest_again(guest), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 2);
    assert_end(guest, 0, HOSTCALL_EXIT, 7);
    assert_int_equal(guest_u32(guest, GUEST_ENDS + 8), 5);
    assert_int_equal(guest_u32(guest, GUEST_ENDS + 12), 2);
    HANDLES(guest, 1, 9);
    assert_int_equal(await(guest, 2, false, -1), E_BADF);
    assert_int_equal(await(guest, 0, false, -1), E_INVAL);
    assert_int_equal(CALL(guest, "await", GUEST_MEMORY_BYTES - 8, 2, 0, 0, GUEST_ENDS, 0), E_FAULT);
    assert_int_equal(CALL(guest, "await", GUEST_HANDLES, 2, 2, 0, GUEST_ENDS, 0), E_INVAL);
}

static void
test_all_are_waited_for_one_after_the_other(void **state)
{
    struct guest *guest = *state;

    for (unsigned i = 0; i < CALLS; i++)
        assert_int_equal(chain(guest, "f", ""), 0);
    HANDLES(guest, 1, 2, 3, 4);
    owner.ends[1].kind = owner.ends[2].kind = HOSTCALL_DONE;
    assert_int_equal(await(guest, 4, true, -1), -1);
    owner.polled = 0;
    assert_int_equal(guest_again(guest), -1);
    assert_int_equal(owner.polled, 1); /* those that are over are not asked again */
    move(guest);
    owner.ends[4] = (struct hostcall_chain_end){.kind = HOSTCALL_FAILED, .code = -ENOSYS};
    assert_int_equal(guest_again(guest), -1);
    owner.ends[3] = (struct hostcall_chain_end){.kind = HOSTCALL_TRAP, .code = 3};
    assert_int_equal(guest_again(guest), 0);
    assert_end(guest, 0, HOSTCALL_DONE, 0);
    assert_end(guest, 2, HOSTCALL_TRAP, 3);
    assert_end(guest, 3, HOSTCALL_FAILED, 52);
    assert_int_equal(await(guest, 0, true, -1), 0);
}

static void
test_a_time_counts_from_the_first_call(void **state)
{
    struct guest *guest = *state;
    uint64_t deadline;

    assert_int_equal(chain(guest, "f", ""), 0);
    assert_int_equal(chain(guest, "f", ""), 0);
    HANDLES(guest, 1, 2);
    assert_int_equal(await(guest, 1, false, INT64_C(3600000000000)), -1);
    deadline = guest->wait.deadline_ns;
    assert_int_equal(guest_again(guest), -1);
    assert_int_equal(guest->wait.deadline_ns, deadline);
    owner.ends[1].kind = HOSTCALL_DONE;
    assert_int_equal(await(guest, 2, true, 1), -1); /* not before it has waited once */
    while (clock_now_ns() < guest->wait.deadline_ns)
        ;
    assert_int_equal(guest_again(guest), 73);
    assert_end(guest, 0, HOSTCALL_DONE, 0);
    assert_end(guest, 1, HOSTCALL_RUNNING, 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 1);
}

static void
test_what_came_of_a_call_is_read_in_pieces(void **state)
{
    struct guest *guest = *state;

    assert_int_equal(chain(guest, "f", ""), 0);
    assert_int_equal(CALL(guest, "read", 1, 0, 0, GUEST_BUFFER, 4, GUEST_RESULT), E_AGAIN);
    owner.ends[1].kind = HOSTCALL_DONE;
    assert_int_equal(CALL(guest, "read", 1, 0, 4, GUEST_BUFFER, 4, GUEST_RESULT), 0);
    assert_int_equal(guest_u32(guest, GUEST_RESULT), 2);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "lt", 2);
    assert_int_equal(CALL(guest, "read", 2, 0, 0, GUEST_BUFFER, 4, GUEST_RESULT), E_BADF);
    assert_int_equal(CALL(guest, "read", 1, 4, 0, GUEST_BUFFER, 4, GUEST_RESULT), E_INVAL);
    assert_int_equal(CALL(guest, "read", 1, 0, 0, GUEST_MEMORY_BYTES, 4, GUEST_RESULT), E_FAULT);
    assert_int_equal(CALL(guest, "cancel", 1), 0);
    assert_int_equal(owner.cancelled, 1);
    assert_int_equal(CALL(guest, "forget", 5), E_BADF);
    assert_int_equal(owner.forgotten, 5);
}

static void
test_a_record_without_its_owner_starts_no_calls(void **state)
{
    struct guest *guest = *state;

    hostcall_chain_unregister(&owner.chain);
    move(guest);
    assert_int_equal(chain(guest, "f", ""), 52);
    assert_int_equal(hostcall_chain_register(&owner.chain), 0);
}

/* Another start of a frozen process is another call. */
static void
test_a_restart_has_the_identity_of_the_new_start(void **state)
{
    struct guest *guest = *state;
    struct hostcall_process *fresh = NULL;
    struct hostcall_config config = config_of("new");
    struct buffer frozen = {0};
    void *restarted;
    size_t count;

    assert_int_equal(CALL(guest, "output", GUEST_BUFFER, 3), 0);
    assert_int_equal(hostcall_process_ops.freeze(guest->process, &frozen), 0);
    config.call = 5;
    config.pointer = 0;
    config.function = "max";
    (void)memcpy(config.stdio, in_memory, sizeof(in_memory));
    assert_int_equal(hostcall_process_create(&config, &fresh, NULL), 0);
    assert_int_equal(hostcall_process_ops.restart(frozen.bytes, frozen.count, fresh, &restarted),
                     0);
    hostcall_process_destroy(guest->process);
    guest->process = restarted;
    assert_int_equal(CALL(guest, "identity", 0, GUEST_BUFFER, 3, GUEST_RESULT), 0);
    assert_memory_equal(guest->memory + GUEST_BUFFER, "max", 3);
    guest->function = hostcall_resolve("weft", 4, "call_id", 7);
    assert_int_equal(guest_again(guest), 5);
    (void)hostcall_process_output(guest->process, HOSTCALL_RESULT, &count);
    assert_int_equal(count, 0);
    hostcall_process_destroy(fresh);
    buffer_fini(&frozen);
}

#define CHAIN_TEST(name) cmocka_unit_test_setup_teardown(name, chain_setup, chain_teardown)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        CHAIN_TEST(test_input_is_read_at_any_offset),
        CHAIN_TEST(test_the_result_is_apart_from_output_and_log),
        CHAIN_TEST(test_the_result_counts_as_output),
        CHAIN_TEST(test_a_call_knows_who_it_is_wherever_it_goes_on),
        CHAIN_TEST(test_the_processors_are_those_of_the_host_unless_said),
        CHAIN_TEST(test_the_time_that_is_left_becomes_less),
        CHAIN_TEST(test_a_log_is_one_line_whatever_it_says),
        CHAIN_TEST(test_a_log_waits_for_a_pipe_that_takes_a_part),
        CHAIN_TEST(test_who_cannot_start_calls_hears_so),
        CHAIN_TEST(test_a_call_is_started_by_name_and_by_pointer),
        CHAIN_TEST(test_what_cannot_be_started_is_refused),
        CHAIN_TEST(test_any_is_the_first_that_is_over),
        CHAIN_TEST(test_all_are_waited_for_one_after_the_other),
        CHAIN_TEST(test_a_time_counts_from_the_first_call),
        CHAIN_TEST(test_what_came_of_a_call_is_read_in_pieces),
        CHAIN_TEST(test_a_record_without_its_owner_starts_no_calls),
        CHAIN_TEST(test_a_restart_has_the_identity_of_the_new_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
