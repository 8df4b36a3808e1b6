/* SPDX-License-Identifier: Apache-2.0
 *
 * double: a program in the place of weft-cell, started in the same jail, that does
 * what the calls' entries say: answer as a cell does, look around, break the rules of
 * the connection, die. It runs no guests and does not seal itself: it is what a cell
 * may become whose code an attacker has written.
 *
 * Before its first call it does what WEFT_STRESS says, the one variable that it gets.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "net/net.h"
#include "rpc/rpc.h"

#define SOCKET      3
#define BLOCK_BYTES ((size_t)1 << 20)

static struct net_connection *connection;
static int saving = -1; /* where the last call was to be saved */

/* ---------------------------------------------------------------------- what cells say */

static void
flush(void)
{
    while (net_queued(connection) > 0) {
        struct pollfd fd = {.fd = SOCKET, .events = POLLOUT};

        (void)poll(&fd, 1, -1);
        if (net_flush(connection) != 0)
            _exit(0);
    }
}

static void
reply(Rpc__CellReply *message)
{
    if (rpc_send(connection, &message->base, NULL, 0) != 0)
        _exit(0);
    flush();
}

static void
say_ready(bool is_set_up, unsigned version, const char *error)
{
    Rpc__CellReply message = RPC__CELL_REPLY__INIT;
    Rpc__CellReady ready = RPC__CELL_READY__INIT;

    ready.version = version;
    ready.is_set_up = is_set_up;
    ready.error = (char *)(uintptr_t)error;
    message.is_case = RPC__CELL_REPLY__IS_READY;
    message.ready = &ready;
    reply(&message);
}

static Rpc__CellEnd
end_of(uint64_t call, Rpc__CellEndKind kind)
{
    Rpc__CellEnd end = RPC__CELL_END__INIT;

    end.call = call;
    end.kind = kind;
    return end;
}

static void
say_end(Rpc__CellEnd end)
{
    Rpc__CellReply message = RPC__CELL_REPLY__INIT;

    message.is_case = RPC__CELL_REPLY__IS_END;
    message.end = &end;
    reply(&message);
}

static void
say_usage(void)
{
    Rpc__CellReply message = RPC__CELL_REPLY__INIT;
    Rpc__CellUsage usage = RPC__CELL_USAGE__INIT;

    message.is_case = RPC__CELL_REPLY__IS_USAGE;
    message.usage = &usage;
    reply(&message);
}

static void
say_put_done(uint64_t function, int err, const char *text)
{
    Rpc__CellReply message = RPC__CELL_REPLY__INIT;
    Rpc__CellPutDone done = RPC__CELL_PUT_DONE__INIT;

    done.function = function;
    done.err = err;
    done.message = (char *)(uintptr_t)text;
    message.is_case = RPC__CELL_REPLY__IS_PUT_DONE;
    message.put_done = &done;
    reply(&message);
}

/* Past all rooms. */
static void
say_bytes(const void *bytes, size_t count)
{
    (void)!send(SOCKET, bytes, count, MSG_NOSIGNAL);
}

static void
say_with_fds(size_t count)
{
    Rpc__CellReply message = RPC__CELL_REPLY__INIT;
    Rpc__CellUsage usage = RPC__CELL_USAGE__INIT;
    int fds[NET_FRAME_FDS_MAX];

    for (size_t i = 0; i < count; i++)
        fds[i] = SOCKET;
    message.is_case = RPC__CELL_REPLY__IS_USAGE;
    message.usage = &usage;
    (void)!rpc_send(connection, &message.base, fds, count);
}

/* -------------------------------------------------------------------------- good calls */

static void
do_echo(const Rpc__CellCall *call)
{
    Rpc__CellEnd end = end_of(call->call, RPC__CELL_END_KIND__CELL_END_DONE);
    struct buffer log = {0};

    for (size_t i = 0; i < call->n_args; i++)
        buffer_append_format(&log, "%s;", call->args[i]);
    end.n_results = call->result_slots;
    end.results = call->values;
    end.output = call->input;
    end.log.data = log.bytes;
    end.log.len = log.count;
    say_end(end);
    buffer_fini(&log);
}

static void
do_exit(const Rpc__CellCall *call)
{
    Rpc__CellEnd end = end_of(call->call, RPC__CELL_END_KIND__CELL_END_EXIT);

    end.exit_code = call->n_values > 0 ? (int)call->values[0] : 0;
    say_end(end);
}

static void
list_folder(struct buffer *out, const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;

    buffer_append_format(out, "%s:", path);
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.')
            buffer_append_format(out, " %s", entry->d_name);
    buffer_append_format(out, "\n");
    if (folder != NULL)
        (void)closedir(folder);
}

static void
list_processes(struct buffer *out)
{
    unsigned count = 0;

    for (pid_t pid = 1; pid < 100000; pid++)
        count += kill(pid, 0) == 0 || errno == EPERM;
    buffer_append_format(out, "pid %d, processes %u\n", (int)getpid(), count);
}

static void
list_interfaces(struct buffer *out)
{
    struct if_nameindex *all = if_nameindex();

    buffer_append_format(out, "interfaces:");
    for (struct if_nameindex *one = all; one != NULL && one->if_name != NULL; one++)
        buffer_append_format(out, " %s", one->if_name);
    buffer_append_format(out, "\n");
    if (all != NULL)
        if_freenameindex(all);
}

/* Also what it can open of the files that the arguments name. */
static void
do_look(const Rpc__CellCall *call)
{
    Rpc__CellEnd end = end_of(call->call, RPC__CELL_END_KIND__CELL_END_DONE);
    struct buffer out = {0};
    struct rlimit files;
    unsigned fds = 0;

    list_folder(&out, "/");
    list_processes(&out);
    list_interfaces(&out);
    for (int fd = 0; fd < 1024; fd++)
        fds += fcntl(fd, F_GETFD) >= 0;
    (void)getrlimit(RLIMIT_NOFILE, &files);
    buffer_append_format(&out, "user %u, descriptors %u of %u\n", geteuid(), fds,
                         (unsigned)files.rlim_cur);
    for (size_t i = 0; i < call->n_args; i++)
        buffer_append_format(&out, "%s: %s\n", call->args[i],
                             access(call->args[i], F_OK) == 0 ? "there" : "not there");
    buffer_append_format(&out, "environment:%s\n", getenv("WEFT_STRESS") != NULL ? " stress" : "");
    end.output.data = out.bytes;
    end.output.len = out.count;
    say_end(end);
    buffer_fini(&out);
}

/* ------------------------------------------------------------------------- hostile ones */

static void
do_memory(const Rpc__CellCall *call)
{
    (void)call;
    for (;;) {
        char *block =
            mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (block == MAP_FAILED)
            _exit(9);
        (void)memset(block, 1, BLOCK_BYTES);
    }
}

static void
do_crash(const Rpc__CellCall *call)
{
    (void)call;
    __builtin_trap();
}

static void
do_leave(const Rpc__CellCall *call)
{
    (void)call;
    _exit(7);
}

static void
do_close(const Rpc__CellCall *call)
{
    (void)call;
    (void)shutdown(SOCKET, SHUT_RDWR);
    for (;;)
        (void)pause();
}

static void
do_garbage(const Rpc__CellCall *call)
{
    uint8_t bytes[4096];

    (void)call;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31 + i / 7);
    bytes[0] = 100;
    bytes[1] = bytes[2] = bytes[3] = 0;
    say_bytes(bytes, sizeof(bytes));
}

static void
do_length(const Rpc__CellCall *call)
{
    (void)call;
    say_bytes("\xff\xff\xff\xff", 4);
}

static void
do_empty(const Rpc__CellCall *call)
{
    (void)call;
    say_bytes("\0\0\0\0", 4);
}

static void
do_half(const Rpc__CellCall *call)
{
    (void)call;
    say_bytes("\x10\0\0\0\1\2", 6);
    _exit(0);
}

static void
do_unknown(const Rpc__CellCall *call)
{
    say_end(end_of(call->call + 1000000, RPC__CELL_END_KIND__CELL_END_EXIT));
}

/* Perhaps another tenant's. */
static void
do_others(const Rpc__CellCall *call)
{
    say_end(end_of(call->values[0], RPC__CELL_END_KIND__CELL_END_EXIT));
}

static void
do_twice(const Rpc__CellCall *call)
{
    say_end(end_of(call->call, RPC__CELL_END_KIND__CELL_END_EXIT));
    say_end(end_of(call->call, RPC__CELL_END_KIND__CELL_END_EXIT));
}

static void
do_no_kind(const Rpc__CellCall *call)
{
    say_end(end_of(call->call, RPC__CELL_END_KIND__CELL_END_NONE));
}

/* Only of what is chained can a worker say so. */
static void
do_lost(const Rpc__CellCall *call)
{
    say_end(end_of(call->call, RPC__CELL_END_KIND__CELL_END_LOST));
}

static void
do_chain(uint64_t number)
{
    Rpc__CellReply message = RPC__CELL_REPLY__INIT;
    Rpc__CellChain chain = RPC__CELL_CHAIN__INIT;

    chain.chain = number;
    chain.reference = (char *)(uintptr_t)"f";
    message.is_case = RPC__CELL_REPLY__IS_CHAIN;
    message.chain = &chain;
    reply(&message);
}

static void
do_chain_twice(const Rpc__CellCall *call)
{
    (void)call;
    do_chain(5);
    do_chain(5);
}

/* A call by the number of its own, whose end it does not look at. */
static void
do_chain_once(const Rpc__CellCall *call)
{
    do_chain(call->call);
}

static void
do_chain_many(const Rpc__CellCall *call)
{
    (void)call;
    for (uint64_t i = 0;; i++)
        do_chain(i);
}

static void
say_state(const void *bytes, size_t count)
{
    Rpc__CellReply message = RPC__CELL_REPLY__INIT;

    message.is_case = RPC__CELL_REPLY__IS_STATE;
    message.state = (ProtobufCBinaryData){count, (uint8_t *)(uintptr_t)bytes};
    reply(&message);
}

/* Its input to the tier; what the tier says goes back to it. */
static void
do_state(const Rpc__CellCall *call)
{
    say_state(call->input.data, call->input.len);
    say_end(end_of(call->call, RPC__CELL_END_KIND__CELL_END_DONE));
}

static void
do_results(const Rpc__CellCall *call)
{
    Rpc__CellEnd end = end_of(call->call, RPC__CELL_END_KIND__CELL_END_DONE);
    static uint64_t results[1000];

    end.n_results = 1000;
    end.results = results;
    say_end(end);
}

static void
do_fds(const Rpc__CellCall *call)
{
    say_with_fds(call->n_values > 0 ? (size_t)call->values[0] : 1);
}

static void
do_ready(const Rpc__CellCall *call)
{
    (void)call;
    say_ready(false, RPC__CELL_VERSION__CELL_VERSION, "");
}

static void
do_usage(const Rpc__CellCall *call)
{
    (void)call;
    say_usage();
}

static void
do_function(const Rpc__CellCall *call)
{
    say_put_done(call->function + 1000000, 0, "");
}

/* Saved, they say; but it can still be changed. */
static void
do_hold(const Rpc__CellCall *call)
{
    (void)!ftruncate(saving, 4096);
    (void)!mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, saving, 0);
    say_end(end_of(call->call, RPC__CELL_END_KIND__CELL_END_DONE));
}

/* Sealed by itself, so that the worker cannot. */
static void
do_lock(const Rpc__CellCall *call)
{
    (void)!ftruncate(saving, 4096);
    (void)fcntl(saving, F_ADD_SEALS, F_SEAL_SEAL);
    say_end(end_of(call->call, RPC__CELL_END_KIND__CELL_END_DONE));
}

/* As a cell saves, but for what it saves. */
static void
do_save(const Rpc__CellCall *call)
{
    (void)!ftruncate(saving, 4096);
    if (saving >= 0)
        (void)close(saving);
    saving = -1;
    say_end(end_of(call->call, RPC__CELL_END_KIND__CELL_END_DONE));
}

/* Ends nothing, and hears no cancel. */
static void
do_nothing(const Rpc__CellCall *call)
{
    (void)call;
}

static void
do_deaf(const Rpc__CellCall *call)
{
    (void)call;
    for (;;)
        (void)pause();
}

/* Many valid words that nobody waits for. */
static void
do_flood(const Rpc__CellCall *call)
{
    for (;;)
        say_put_done(call->function, 0, "");
}

static const struct {
    const char *entry;
    void (*run)(const Rpc__CellCall *call);
} entries[] = {
    {"echo", do_echo},
    {"exit", do_exit},
    {"look", do_look},
    {"memory", do_memory},
    {"crash", do_crash},
    {"leave", do_leave},
    {"close", do_close},
    {"garbage", do_garbage},
    {"length", do_length},
    {"empty", do_empty},
    {"half", do_half},
    {"unknown", do_unknown},
    {"others", do_others},
    {"twice", do_twice},
    {"no-kind", do_no_kind},
    {"results", do_results},
    {"fds", do_fds},
    {"ready", do_ready},
    {"usage", do_usage},
    {"function", do_function},
    {"nothing", do_nothing},
    {"hold", do_hold},
    {"lock", do_lock},
    {"flood", do_flood},
    {"deaf", do_deaf},
    {"lost", do_lost},
    {"chain", do_chain_once},
    {"save", do_save},
    {"chain-twice", do_chain_twice},
    {"chain-many", do_chain_many},
    {"state", do_state},
};

/* ----------------------------------------------------------------------------- the loop */

static void
obey_call(const Rpc__CellCall *call)
{
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
        if (strcmp(call->entry, entries[i].entry) == 0) {
            entries[i].run(call);
            return;
        }
}

static void
obey(const Rpc__CellRequest *request)
{
    const char *mood = getenv("WEFT_STRESS");

    switch (request->is_case) {
    case RPC__CELL_REQUEST__IS_SETUP:
        if (mood != NULL && strcmp(mood, "die-set-up") == 0)
            _exit(5);
        if (mood != NULL && strcmp(mood, "no-set-up") == 0)
            say_ready(false, RPC__CELL_VERSION__CELL_VERSION, "too few threads");
        else
            say_ready(true, RPC__CELL_VERSION__CELL_VERSION, "");
        break;
    case RPC__CELL_REQUEST__IS_PUT:
        say_put_done(request->put->function, 0, "");
        break;
    case RPC__CELL_REQUEST__IS_CALL:
        obey_call(request->call);
        break;
    case RPC__CELL_REQUEST__IS_STATE:
        say_state(request->state.data, request->state.len);
        break;
    case RPC__CELL_REQUEST__IS_CANCEL:
        say_end(end_of(request->cancel->call, RPC__CELL_END_KIND__CELL_END_CANCELLED));
        break;
    default:
        break;
    }
}

static void
greet(void)
{
    const char *mood = getenv("WEFT_STRESS");

    if (mood != NULL && strcmp(mood, "mute") == 0)
        for (;;)
            (void)pause();
    if (mood != NULL && strcmp(mood, "gone") == 0)
        _exit(4);
    if (mood != NULL && strcmp(mood, "early") == 0)
        say_end(end_of(1, RPC__CELL_END_KIND__CELL_END_EXIT));
    if (mood != NULL && strcmp(mood, "early-state") == 0)
        say_state("", 0);
    if (mood != NULL && strcmp(mood, "useless") == 0)
        say_ready(false, RPC__CELL_VERSION__CELL_VERSION, "this kernel is too old");
    say_ready(false, mood != NULL && strcmp(mood, "version") == 0 ? 77 : 1, "");
}

int
main(void)
{
    static const struct net_limits limits = {.frame_fds_max = NET_FRAME_FDS_MAX};

    if (net_connection_create(SOCKET, &limits, &connection) != 0)
        return 1;
    greet();
    for (;;) {
        struct pollfd fd = {.fd = SOCKET, .events = POLLIN};
        struct net_frame frame;
        int err = net_receive(connection, &frame);

        if (err == -EAGAIN) {
            (void)poll(&fd, 1, -1);
            continue;
        }
        if (err != 0)
            return 0;
        Rpc__CellRequest *request = rpc_cell_request(&frame);

        if (request != NULL) {
            saving = frame.fd_count > 0 ? frame.fds[frame.fd_count - 1] : -1;
            obey(request);
            rpc__cell_request__free_unpacked(request, NULL);
        }
        net_frame_fini(&frame);
    }
}
