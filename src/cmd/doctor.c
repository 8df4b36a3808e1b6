/* SPDX-License-Identifier: Apache-2.0
 *
 * weft doctor: what this machine offers, and what to do about what is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/cmd_internal.h"
#include "jail/jail.h"

#define HWCAP2_FSGSBASE_BIT (1u << 1)
#define NAME_BYTES          64u /* of a file beside the program */

static const char help[] = "usage: weft doctor [--json] [--strict]\n\n"
                           "Checks what this machine offers. --strict: exit code 1 if anything is "
                           "missing,\nnot only what Weft cannot do without.\n";

struct check {
    const char *name;
    bool (*holds)(void);
    bool is_needed; /* Weft does not work without it */
    const char *advice;
};

static bool
has_baseline(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("x86-64-v3") != 0;
}

static bool
has_fsgsbase(void)
{
    return (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT) != 0;
}

static bool
has_address_space(void)
{
    void *slot = mmap(NULL, UINT64_C(9) << 30, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (slot == MAP_FAILED)
        return false;
    (void)munmap(slot, UINT64_C(9) << 30);
    return true;
}

static bool
has_sealed_memory(void)
{
    int fd = memfd_create("doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool holds = fd >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0;

    if (fd >= 0)
        (void)close(fd);
    return holds;
}

static bool
has_openat2(void)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof(how));

    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static bool
has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

static bool
has_userfaultfd(void)
{
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);

    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static bool
is_program(const char *name)
{
    char path[512];
    const char *rest = getenv("PATH");

    while (rest != NULL && *rest != '\0') {
        size_t length = strcspn(rest, ":");

        (void)snprintf(path, sizeof(path), "%.*s/%s", (int)length, rest, name);
        if (access(path, X_OK) == 0)
            return true;
        rest += length + (rest[length] == ':');
    }
    return false;
}

static bool
has_linker(void)
{
    return is_program("ld.lld-19");
}

static bool
is_beside_us(const char *name, int mode)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - NAME_BYTES);
    char *slash;

    path[length > 0 ? length : 0] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL)
        return false;
    (void)snprintf(slash + 1, NAME_BYTES, "%s", name);
    return access(path, mode) == 0;
}

static bool
has_guest_compiler(void)
{
    return is_program("clang-19") && is_beside_us("sysroot/lib/wasm32-wasi/libc.a", R_OK);
}

static bool
has_compiler(void)
{
    return is_beside_us("weft-compiler", X_OK);
}

static bool
has_cell(void)
{
    return is_beside_us("weft-cell", X_OK);
}

static const struct check checks[] = {
    {"processor x86-64-v3", has_baseline, false, "compile with --cpu x86-64-v2"},
    {"user access to the GS base", has_fsgsbase, false,
     "a kernel from 5.9 on; without it each switch costs a system call"},
    {"address space for slots", has_address_space, true, "raise ulimit -v"},
    {"sealed memory files", has_sealed_memory, true, "a kernel from 3.17 on"},
    {"openat2", has_openat2, false, "a kernel from 5.6 on; paths are walked by steps without it"},
    {"Landlock", has_landlock, false,
     "a kernel with CONFIG_SECURITY_LANDLOCK; the compiler can "
     "read files without it"},
    {"userfaultfd", has_userfaultfd, false,
     "a kernel with CONFIG_USERFAULTFD; moves copy all memory at once without it"},
    {"the compiler weft-compiler", has_compiler, true, "keep it beside weft"},
    {"the program of cells weft-cell", has_cell, false,
     "keep it beside weft; there is no weft run --jail without it"},
    {"the linker ld.lld-19", has_linker, true, "apt-get install lld-19"},
    {"the guest compiler", has_guest_compiler, false,
     "apt-get install clang-19 libclang-rt-19-dev-wasm32, and make sdk, for weft cc"},
};

static void
report(const struct check *check, bool holds, bool is_json)
{
    if (is_json)
        (void)printf("{\"check\":\"%s\",\"holds\":%s,\"needed\":%s,\"advice\":\"%s\"}\n",
                     check->name, holds ? "true" : "false", check->is_needed ? "true" : "false",
                     holds ? "" : check->advice);
    else
        (void)printf("%-8s %s%s%s\n",
                     holds              ? "ok"
                     : check->is_needed ? "MISSING"
                                        : "missing",
                     check->name, holds ? "" : ": ", holds ? "" : check->advice);
}

/* What confines a cell: each that is missing is a wall less. The compiler is
 * confined too, and does not go without the one that every kernel has. */
static bool
report_jail(bool is_json, bool *is_able)
{
    uint32_t features = jail_features();

    for (uint32_t bit = 1; bit < JAIL_FEATURES_ALL; bit <<= 1) {
        struct check check = {.is_needed = bit == JAIL_SECCOMP,
                              .name = jail_feature_name((enum jail_feature)bit),
                              .advice = jail_feature_advice((enum jail_feature)bit)};

        report(&check, (features & bit) != 0, is_json);
    }
    *is_able &= (features & JAIL_SECCOMP) != 0;
    return features == JAIL_FEATURES_ALL;
}

static int
run_checks(bool is_json, bool is_strict)
{
    bool is_able = true, is_whole = true;

    for (size_t i = 0; i < ARRAY_COUNT(checks); i++) {
        bool holds = checks[i].holds();

        is_able &= holds || !checks[i].is_needed;
        is_whole &= holds;
        report(&checks[i], holds, is_json);
    }
    is_whole &= report_jail(is_json, &is_able);
    return is_able && (is_whole || !is_strict) ? CMD_EXIT_OK : CMD_EXIT_FAILED;
}

int
cmd_doctor(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"strict", no_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    bool is_json = false, is_strict = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h')
            return fputs(help, stdout) < 0 ? CMD_EXIT_FAILED : CMD_EXIT_OK;
        if (option != 'j' && option != 's')
            return cmd_usage("doctor", "unknown option");
        is_json |= option == 'j';
        is_strict |= option == 's';
    }
    return run_checks(is_json, is_strict);
}
