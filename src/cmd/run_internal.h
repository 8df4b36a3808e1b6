/* SPDX-License-Identifier: Apache-2.0
 *
 * weft run, in parts: the command line and the run, saving and starting from what was
 * saved, the report.
 */
#ifndef WEFT_CMD_RUN_INTERNAL_H
#define WEFT_CMD_RUN_INTERNAL_H

#include "cmd/cmd_internal.h"
#include "hostcall/hostcall.h"
#include "jail/jail.h"

#define DIRECTORIES_MAX 64u
#define ENVIRONMENT_MAX 1024u

struct run_command {
    struct compile_request request;
    struct compile_report report;
    struct hostcall_directory directories[DIRECTORIES_MAX];
    size_t directory_count;
    const char *environment[ENVIRONMENT_MAX];
    size_t environment_count;
    uint64_t memory_bytes, stack_bytes;
    uint64_t timeout_ns, cpu_ns; /* 0: none */
    uint64_t output_bytes;
    uint32_t files;          /* 0: no limit */
    uint32_t threads;        /* 0: the default */
    uint32_t ranks;          /* of --mpi; 0: none was said */
    const char *save, *from; /* files, or NULL */
    char *save_at;           /* CALL, or NULL */
    const char *save_arg;    /* its first argument, or NULL */
    const char *invoke;
    bool is_json, is_profiled;
    bool is_jailed, is_strict;
    struct jail_limits jail_limits;
    const char *path;
    char **args; /* of the program, its name first */
    size_t arg_count;
    struct hostcall_process *process, *restarted; /* owned */
    uint64_t loaded_ns, created_ns, ended_ns;
    bool has_rank; /* what is told is of this one of several */
    uint32_t rank;
    struct buffer story; /* owned; lines for people beside the outcome */
};

/* The exit code; tells of it on standard error. */
int run_report(const struct run_command *command, const struct faaslet *faaslet,
               const struct faaslet_outcome *outcome);

/* The same of one in another process; refused: bits 1 << enum faaslet_limit. */
int run_report_from(const struct run_command *command, const struct faaslet_outcome *outcome,
                    uint32_t refused, const char *backtrace);

/* In a confined process of its own. */
int run_jailed(struct run_command *command, int image_fd, int *code, struct diag *diag) MUST_CHECK;

/* Whether it may have several threads, or is a rank of a world: those run in a cell in this
 * process. */
bool run_needs_cell(const struct run_command *command, const struct faaslet_image *image);
int run_in_cell(struct run_command *command, struct faaslet_image *image,
                const struct faaslet_config *config, int *code, struct diag *diag) MUST_CHECK;

/* A record of its own; group NULL: in none. Members but the first have no standard input. */
struct run_member {
    const struct hostcall_group *group;
    uint32_t number;
};
int run_create_process(const struct run_command *command, const struct run_member *member,
                       struct hostcall_process **out, struct diag *diag) MUST_CHECK;

/* What is called without --invoke; with it, what is called before, or NULL. -ENOENT. */
int run_choose_entry(const struct run_command *command, const struct faaslet *faaslet,
                     const char **entry, struct diag *diag) MUST_CHECK;

/* Makes the Faaslet stop at the host call at which to save, in whatever module it is. */
int run_stop_at(const struct run_command *command, struct faaslet *faaslet,
                struct diag *diag) MUST_CHECK;
/* Whether it stands at the point that was asked for, and not at another. */
bool run_is_save_point(const struct run_command *command, const struct faaslet *faaslet,
                       const struct faaslet_outcome *outcome);
int run_save(const struct run_command *command, struct faaslet *faaslet,
             struct diag *diag) MUST_CHECK;
int run_save_frozen(const struct run_command *command, const struct faaslet_frozen *frozen,
                    struct diag *diag) MUST_CHECK;
/* What --from names. */
int run_load_from(const struct run_command *command, struct faaslet_image *image,
                  struct faaslet_frozen **out, struct diag *diag) MUST_CHECK;
/* A new one from --from, with this call's arguments and streams. */
int run_start_from(struct run_command *command, struct faaslet_image *image,
                   const struct faaslet_config *config, struct faaslet **out,
                   struct diag *diag) MUST_CHECK;

#endif
