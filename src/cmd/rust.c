/* SPDX-License-Identifier: Apache-2.0
 *
 * Which Rust compiler there is that has a target of WebAssembly: the first in PATH is often
 * rustup's, without one, while the distribution's has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/cmd_internal.h"

extern char **environ;

/* One target under its old name and under that of compilers of 2024 and later. */
static const char *const targets[] = {"wasm32-wasi", "wasm32-wasip1"};

/* What a compiler prints, without its complaints: one line. */
static bool
ask(const char *const *args, char *line, size_t line_bytes)
{
    posix_spawn_file_actions_t actions;
    int ends[2], status = -1;
    FILE *answer;
    pid_t pid;
    bool is_run;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    is_run = posix_spawn_file_actions_init(&actions) == 0;
    if (is_run) {
        is_run = posix_spawn_file_actions_adddup2(&actions, ends[1], 1) == 0 &&
                 posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) == 0 &&
                 posix_spawnp(&pid, args[0], &actions, NULL, (char *const *)(uintptr_t)args,
                              environ) == 0;
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    (void)close(ends[1]);
    answer = fdopen(ends[0], "r");
    line[0] = '\0';
    if (answer != NULL && fgets(line, (int)line_bytes, answer) != NULL)
        line[strcspn(line, "\n")] = '\0';
    if (answer != NULL)
        (void)fclose(answer);
    while (is_run && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return is_run && status == 0;
}

static bool
has_target(const char *compiler, const char *target)
{
    char path[4096];

    return ask((const char *const[]){compiler, "--print", "target-libdir", "--target", target,
                                     NULL},
               path, sizeof(path)) &&
           access(path, F_OK) == 0;
}

int
cmd_rust_find(struct cmd_rust *out, struct diag *diag)
{
    const char *named = getenv("RUSTC");
    const char *const compilers[] = {named != NULL && named[0] != '\0' ? named : "rustc",
                                     "/usr/bin/rustc"};
    size_t count = compilers[0] == named ? 1 : 2;

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < ARRAY_COUNT(targets); j++)
            if (has_target(compilers[i], targets[j])) {
                *out = (struct cmd_rust){.compiler = compilers[i], .target = targets[j]};
                return 0;
            }
    return diag_set(diag, -ENOENT,
                    "%s%s has no standard library for the target wasm32-wasi: install one "
                    "(packages rustc and libstd-rust-dev-wasm32, or rustup target add "
                    "wasm32-wasip1), or name a compiler that has it in RUSTC",
                    compilers[0], count == 2 ? " (or /usr/bin/rustc)" : ", which RUSTC names,");
}
