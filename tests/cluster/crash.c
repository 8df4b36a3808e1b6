/* SPDX-License-Identifier: Apache-2.0
 *
 * Kills processes of a cluster under load, cuts one off, and looks whether what was promised
 * is kept.
 *
 *      crash --build DIRECTORY [--rounds N] [--seed N] [--only embedded|remote|partition|quiet]
 *
 * embedded: a planner with its own store, two workers. remote: two planners, one of which
 * stands by, on Redis and S3. partition: workers in networks of their own. quiet: nothing is
 * killed. Meanwhile calls change state, and what they saw must have an order. WEFT_KEEP=1 keeps
 * the folder. As root, for cells and networks. docs/planner.md, docs/state.md have the promises.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crash.h"

#define LEAD_SECONDS 60u /* a lease of 10 s, and what is slow */
#define IDLE_SECONDS 60u
#define WARM_MS      3000u
#define PIDS_MAX     4096u
#define CUT_MS       ((CRASH_SILENCE_S + 5) * 1000u)
#define PARTITIONS   2u
#define PAUSE_MS     3500u  /* of a worker: longer than a session's lease, shorter than silence */
#define STEP_US      40000u /* between a call's operations on state */
#define BRIEF_MS     2800u  /* more than a lease and a tenth, less than silence */
#define BRIEF_CUTS   4u
#define QUIET_MS     5000u

static volatile sig_atomic_t is_interrupted;
static unsigned passed, failed;
static uint64_t began_ns;
static pid_t worker_pids[PIDS_MAX]; /* all there ever were */
static size_t worker_pid_count;

/* ------------------------------------------------------------------------------ saying */

void
crash_say(const char *format, ...)
{
    va_list args;

    (void)printf("%7.2f  ", (double)(clock_now_ns() - began_ns) / 1e9);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)printf("\n");
    (void)fflush(stdout);
}

bool
crash_check(bool is_so, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    crash_say("%s %s", is_so ? "ok    " : "FAILED", text);
    passed += is_so ? 1 : 0;
    failed += is_so ? 0 : 1;
    return is_so;
}

bool
crash_is_interrupted(void)
{
    return is_interrupted != 0;
}

static void
on_signal(int number)
{
    is_interrupted = number;
}

uint64_t
crash_random(uint64_t *state, uint64_t limit)
{
    uint64_t mixed;

    *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (*state ^ (*state >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return limit > 0 ? (mixed ^ (mixed >> 31)) % limit : 0;
}

void
crash_sleep_ms(unsigned ms)
{
    for (; ms > 0 && !crash_is_interrupted(); ms -= ms < 50 ? ms : 50) {
        const struct timespec part = {0, (ms < 50 ? (long)ms : 50) * 1000000};

        (void)nanosleep(&part, NULL);
    }
}

/* ----------------------------------------------------------------------------- victims */

static bool
start_worker(struct crash_process *worker)
{
    bool is_fine = crash_process_start(worker);

    if (is_fine && worker_pid_count < PIDS_MAX)
        worker_pids[worker_pid_count++] = worker->pid;
    return is_fine;
}

static void
note_workers(struct crash_cluster *cluster)
{
    worker_pid_count = 0;
    for (size_t i = 0; i < CRASH_WORKERS; i++)
        worker_pids[worker_pid_count++] = cluster->workers[i].pid;
}

/* A planner that lost the lead ends by itself, to be started again; nothing else may. */
static void
tend(struct crash_cluster *cluster)
{
    for (size_t i = 0; i < CRASH_PLANNERS_MAX + CRASH_WORKERS; i++) {
        bool is_planner = i < CRASH_PLANNERS_MAX;
        struct crash_process *process =
            is_planner ? &cluster->planners[i] : &cluster->workers[i - CRASH_PLANNERS_MAX];
        int status;

        if (process->pid <= 0 || waitpid(process->pid, &status, WNOHANG) != process->pid)
            continue;
        process->pid = 0;
        if (is_planner && WIFEXITED(status) && WEXITSTATUS(status) == 75)
            crash_say("%s has lost the lead, and starts again", process->name);
        else
            crash_check(false, "%s ended by itself: %s %d (%s)", process->name,
                        WIFSIGNALED(status) ? "signal" : "code",
                        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), process->log);
        (void)(is_planner ? crash_process_start(process) : start_worker(process));
    }
}

static void
sleep_and_tend(struct crash_cluster *cluster, unsigned ms)
{
    for (; ms > 0 && !crash_is_interrupted(); ms -= ms < 100 ? ms : 100) {
        crash_sleep_ms(ms < 100 ? ms : 100);
        tend(cluster);
    }
}

static bool
await_lead(struct crash_cluster *cluster)
{
    uint64_t until_ns = clock_now_ns() + LEAD_SECONDS * (uint64_t)CLOCK_NS_PER_SECOND;

    while (clock_now_ns() < until_ns && !crash_is_interrupted()) {
        tend(cluster);
        if (crash_cluster_await(cluster, 1))
            return true;
    }
    return crash_check(crash_is_interrupted(), "a planner leads within %u s", LEAD_SECONDS);
}

/* Kills it, and starts it again after up to so many ms. */
static void
kill_process(struct crash_cluster *cluster, struct crash_process *process, unsigned away_ms)
{
    bool is_worker = process == &cluster->workers[0] || process == &cluster->workers[1];

    crash_say("kill -9 %s (%d), away for %u ms", process->name, process->pid, away_ms);
    crash_process_kill(process);
    sleep_and_tend(cluster, away_ms);
    crash_check(is_worker ? start_worker(process) : crash_process_start(process), "%s starts again",
                process->name);
}

static void
kill_cell(struct crash_cluster *cluster, uint64_t *state)
{
    struct crash_process *worker = &cluster->workers[crash_random(state, CRASH_WORKERS)];
    pid_t below[256];
    size_t count = crash_processes_below(worker->pid, below, ARRAY_COUNT(below));
    pid_t pid = count > 0 ? below[crash_random(state, count)] : 0;

    crash_say("kill -9 a process of %s (%d of %zu)", worker->name, pid, count);
    if (pid > 0)
        (void)kill(pid, SIGKILL);
}

/* A worker and its cells stand still for longer than a session of state lives. */
static void
pause_worker(struct crash_cluster *cluster, uint64_t *state)
{
    struct crash_process *worker = &cluster->workers[crash_random(state, CRASH_WORKERS)];
    pid_t below[256];
    size_t count = crash_processes_below(worker->pid, below, ARRAY_COUNT(below));

    crash_say("%s and its %zu processes stand still for %u ms", worker->name, count, PAUSE_MS);
    crash_pause(worker->pid, below, count, true);
    sleep_and_tend(cluster, PAUSE_MS);
    crash_pause(worker->pid, below, count, false);
}

/* Its lease in the store is let go, so another may lead at once. */
static void
hand_over(struct crash_cluster *cluster, struct crash_process *planner)
{
    crash_say("SIGTERM to %s (%d)", planner->name, planner->pid);
    crash_check(crash_process_end(planner), "%s ends well", planner->name);
    crash_check(crash_process_start(planner), "%s starts again", planner->name);
    (void)cluster;
}

enum victim { PLANNER, WORKER, CELL, PAUSE, STANDBY, REDIS, LEADER, VICTIMS };

static void
kill_one(struct crash_cluster *cluster, enum victim victim, uint64_t *state)
{
    unsigned away_ms = (unsigned)crash_random(state, 1500);
    int leader = crash_cluster_leader(cluster);

    leader = leader < 0 ? 0 : leader;
    switch (victim) {
    case WORKER:
        kill_process(cluster, &cluster->workers[crash_random(state, CRASH_WORKERS)], away_ms);
        break;
    case CELL:
        kill_cell(cluster, state);
        break;
    case REDIS:
        kill_process(cluster, &cluster->redis, away_ms);
        break;
    case STANDBY:
        kill_process(cluster, &cluster->planners[1 - leader], away_ms);
        break;
    case PAUSE:
        pause_worker(cluster, state);
        break;
    case LEADER:
        hand_over(cluster, &cluster->planners[leader]);
        break;
    case PLANNER:
    case VICTIMS:
        kill_process(cluster, &cluster->planners[leader], away_ms);
        break;
    }
}

/* Each kind once, then any. */
static enum victim
pick(unsigned round, bool is_remote, uint64_t *state)
{
    unsigned kinds = is_remote ? VICTIMS : STANDBY;

    return (enum victim)(round < kinds ? round : crash_random(state, kinds));
}

/* ------------------------------------------------------------------------------- phases */

static void
verify_loads(struct crash_load *loads)
{
    uint64_t answered = 0, errors = 0, longest_ns = 0, wrong = 0, repeated = 0, retried = 0;

    for (size_t i = 0; i < CRASH_LOADS; i++) {
        answered += loads[i].answered;
        errors += loads[i].failed;
        wrong += loads[i].wrong;
        repeated += loads[i].repeated;
        retried += loads[i].retried;
        longest_ns = loads[i].longest_ns > longest_ns ? loads[i].longest_ns : longest_ns;
        if (loads[i].complaint[0] != '\0')
            crash_say("load %zu: %s", i, loads[i].complaint);
    }
    crash_say("%zu asynchronous calls acknowledged (%" PRIu64 " keys said again, %" PRIu64
              " requests unanswered); synchronous: %" PRIu64 " answered, %" PRIu64
              " errors, the longest took %.1f s",
              crash_loads_acknowledged(loads), repeated, retried, answered, errors,
              (double)longest_ns / 1e9);
    crash_check(wrong == 0, "no caller was told anything wrong, or nothing in time");
    crash_check(answered > 0, "synchronous callers got answers");
}

static void
free_loads(struct crash_load *loads)
{
    for (size_t i = 0; i < CRASH_LOADS; i++)
        free(loads[i].items);
}

/* So that both workers have the functions: what is held then is what may be held later. */
static struct crash_held
warm_up(struct crash_cluster *cluster, uint64_t seed)
{
    struct crash_load loads[CRASH_LOADS] = {0};

    for (size_t i = 0; i < CRASH_LOADS; i++)
        loads[i].sleep_ms_max = 100;
    crash_loads_start(loads, cluster, seed + 1000);
    crash_history_start(cluster, seed + 1000, STEP_US);
    crash_sleep_ms(WARM_MS);
    crash_loads_stop(loads);
    crash_history_stop();
    crash_verify(loads, "before");
    crash_verify_idle(cluster, IDLE_SECONDS);
    free_loads(loads);
    return crash_cluster_held(cluster);
}

static bool
await_all(struct crash_cluster *cluster)
{
    return await_lead(cluster) &&
           crash_check(crash_cluster_await_hosts(cluster, LEAD_SECONDS), "both hosts are there");
}

static void
verify_all(struct crash_cluster *cluster, struct crash_load *loads, const struct crash_held *held)
{
    int leader;

    verify_loads(loads);
    if (!await_all(cluster))
        return;
    crash_verify(loads, "afterwards");
    crash_verify_idle(cluster, IDLE_SECONDS);
    crash_verify_held(cluster, held);
    leader = crash_cluster_leader(cluster);
    kill_process(cluster, &cluster->planners[leader < 0 ? 0 : leader], 0);
    if (await_all(cluster))
        crash_verify(loads, "after a restart");
}

static void
kill_many(struct crash_cluster *cluster, bool is_remote, unsigned rounds, uint64_t seed)
{
    struct crash_load loads[CRASH_LOADS] = {0};
    struct crash_held held = warm_up(cluster, seed);
    uint64_t state = seed;

    for (size_t i = 0; i < CRASH_LOADS; i++)
        loads[i].sleep_ms_max = 1000;
    crash_loads_start(loads, cluster, seed);
    crash_history_start(cluster, seed, STEP_US);
    for (unsigned round = 0; round < rounds && !crash_is_interrupted(); round++) {
        sleep_and_tend(cluster, 200 + (unsigned)crash_random(&state, 1500));
        kill_one(cluster, pick(round, is_remote, &state), &state);
        /* Now and then the next comes while this one is not mended. */
        if (crash_random(&state, 3) > 0)
            (void)await_lead(cluster);
    }
    (void)await_lead(cluster);
    sleep_and_tend(cluster, 2000);
    crash_loads_stop(loads);
    crash_history_stop();
    crash_history_verify(cluster);
    verify_all(cluster, loads, &held);
    free_loads(loads);
}

static json_int_t
count_retried(struct crash_cluster *cluster)
{
    struct crash_client client;
    json_t *answer;
    json_int_t count;

    crash_client_open(&client, cluster);
    answer = crash_get(&client, true, "/v1/cluster");
    count = json_integer_value(json_object_get(answer, "retried"));
    json_decref(answer);
    crash_client_close(&client);
    return count;
}

static void
cut_off(struct crash_cluster *cluster, unsigned which)
{
    struct crash_process *worker = &cluster->workers[which];
    json_int_t before = count_retried(cluster);
    pid_t pid = worker->pid;

    crash_say("%s is cut off for %u ms", worker->name, CUT_MS);
    crash_check(crash_network_cut(worker->number, true), "its link is down");
    sleep_and_tend(cluster, CUT_MS);
    crash_check(count_retried(cluster) > before, "what it ran was tried elsewhere (%lld calls)",
                count_retried(cluster) - before);
    crash_check(crash_network_cut(worker->number, false), "its link is up");
    crash_check(crash_cluster_await_hosts(cluster, LEAD_SECONDS) && worker->pid == pid,
                "it registers again, the same process");
}

/* Shorter than silence, so that calls go on: what they did meanwhile is answered. */
static void
cut_briefly(struct crash_cluster *cluster, uint64_t seed)
{
    crash_history_start(cluster, seed + 2000, STEP_US);
    for (unsigned i = 0; i < BRIEF_CUTS && !crash_is_interrupted(); i++) {
        struct crash_process *worker = &cluster->workers[i % CRASH_WORKERS];

        crash_sleep_ms(BRIEF_MS / 2);
        crash_say("%s is cut off for %u ms", worker->name, BRIEF_MS);
        crash_check(crash_network_cut(worker->number, true), "its link is down");
        crash_sleep_ms(BRIEF_MS);
        crash_check(crash_network_cut(worker->number, false), "its link is up");
    }
    crash_sleep_ms(BRIEF_MS);
    crash_history_stop();
    crash_history_verify(cluster);
}

static void
cut_many(struct crash_cluster *cluster, uint64_t seed)
{
    struct crash_load loads[CRASH_LOADS] = {0};
    struct crash_held held = warm_up(cluster, seed);

    for (size_t i = 0; i < CRASH_LOADS; i++) {
        loads[i].sleep_ms_max = 4000;
        loads[i].once_percent = 25;
    }
    crash_loads_start(loads, cluster, seed);
    crash_history_start(cluster, seed, STEP_US);
    for (unsigned i = 0; i < PARTITIONS && !crash_is_interrupted(); i++) {
        crash_sleep_ms(WARM_MS);
        cut_off(cluster, i % CRASH_WORKERS);
    }
    crash_sleep_ms(WARM_MS);
    crash_loads_stop(loads);
    crash_history_stop();
    crash_history_verify(cluster);
    verify_all(cluster, loads, &held);
    free_loads(loads);
}

/* Nothing is killed, so nothing may fail. */
static void
look_at_quiet(struct crash_cluster *cluster, uint64_t seed)
{
    crash_history_start(cluster, seed, STEP_US / 10);
    crash_sleep_ms(QUIET_MS);
    crash_history_stop();
    crash_history_verify(cluster);
    crash_check(crash_history_lost() == 0, "none is lost, none ended with EIO");
}

/* What lost its parent comes to us (PR_SET_CHILD_SUBREAPER). */
static void
verify_nothing_left(size_t links)
{
    pid_t below[64];
    size_t count = 1, groups = 1;

    for (unsigned i = 0; i < 50 && (count > 0 || groups > 0 || crash_links() > links); i++) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        count = crash_processes_below(getpid(), below, ARRAY_COUNT(below));
        groups = 0;
        for (size_t k = 0; k < worker_pid_count; k++)
            groups += crash_held(worker_pids[k]).groups;
        if (count > 0 || groups > 0)
            (void)usleep(100000);
    }
    crash_check(count == 0, "no process is left (%zu are)", count);
    crash_check(groups == 0, "no control group is left (%zu are)", groups);
    crash_check(crash_links() <= links, "no network interface is left (%zu, %zu before)",
                crash_links(), links);
    for (size_t i = 0; i < count; i++)
        (void)kill(below[i], SIGKILL);
}

static void
show_logs(const struct crash_cluster *cluster)
{
    char command[256];
    const char *words[] = {"sh", "-c", command, NULL};

    (void)snprintf(command, sizeof(command), "tail -n 15 %s/log.* >&2", cluster->folder);
    (void)crash_run(words);
}

static void
move_locks(struct crash_cluster *cluster, enum crash_kind kind, uint64_t seed)
{
    if (kind == CRASH_PARTITION) {
        crash_lock_moves(cluster, CRASH_CUT);
        cut_briefly(cluster, seed);
    }
    if (kind != CRASH_EMBEDDED)
        return;
    crash_lock_moves(cluster, CRASH_STOPPED);
    crash_lock_moves(cluster, CRASH_KILLED);
    note_workers(cluster);
}

static void
phase(enum crash_kind kind, const char *build, unsigned rounds, uint64_t seed)
{
    static const char *const titles[] = {
        "embedded: one planner with its own store", "remote: two planners, Redis and S3",
        "partition: workers in networks of their own", "quiet: nothing is killed"};
    static struct crash_cluster cluster;
    size_t links = crash_links();
    unsigned failed_before = failed;

    crash_say("%s", titles[kind]);
    if (crash_check(crash_cluster_open(&cluster, kind, build), "a cluster is up")) {
        note_workers(&cluster);
        move_locks(&cluster, kind, seed);
        if (kind == CRASH_PARTITION)
            cut_many(&cluster, seed);
        else if (kind == CRASH_QUIET)
            look_at_quiet(&cluster, seed);
        else
            kill_many(&cluster, kind == CRASH_REMOTE, rounds, seed);
    }
    if (failed > failed_before)
        show_logs(&cluster);
    crash_check(crash_cluster_close(&cluster, getenv("WEFT_KEEP") != NULL), "all of it ended well");
    verify_nothing_left(links);
}

struct wish {
    const char *build, *only;
    unsigned rounds;
    uint64_t seed;
};

static bool
is_wanted(const struct wish *wish, const char *name)
{
    return (wish->only == NULL || strcmp(wish->only, name) == 0) && !crash_is_interrupted();
}

static bool
parse(struct wish *wish, int argc, char **argv)
{
    static const struct option options[] = {{"build", required_argument, NULL, 'b'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"only", required_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'b')
            wish->build = optarg;
        else if (option == 'r')
            wish->rounds = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 's')
            wish->seed = strtoull(optarg, NULL, 0);
        else if (option == 'o')
            wish->only = optarg;
        else
            return false;
    }
    return optind == argc;
}

int
main(int argc, char **argv)
{
    const struct sigaction action = {.sa_handler = on_signal};
    struct wish wish = {.build = "build", .rounds = 20};

    began_ns = clock_now_ns();
    if (getrandom(&wish.seed, sizeof(wish.seed) / 2, 0) < 0 || !parse(&wish, argc, argv))
        return 2;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    crash_say("seed %" PRIu64 ", %u rounds", wish.seed, wish.rounds);
    if (is_wanted(&wish, "embedded"))
        phase(CRASH_EMBEDDED, wish.build, wish.rounds, wish.seed);
    if (is_wanted(&wish, "remote"))
        phase(CRASH_REMOTE, wish.build, (wish.rounds + 1) / 2, wish.seed);
    if (is_wanted(&wish, "partition"))
        phase(CRASH_PARTITION, wish.build, wish.rounds, wish.seed);
    if (is_wanted(&wish, "quiet"))
        phase(CRASH_QUIET, wish.build, wish.rounds, wish.seed);
    crash_check(!crash_is_interrupted(), "nobody interrupted it");
    (void)printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
