/* SPDX-License-Identifier: Apache-2.0
 *
 * compile_get with a cache directory of each test's own. The compiler is the one
 * beside the directory of this program; under sanitizers the plain build's, since
 * theirs needs more address space than the compiler may have.
 */
#include "../../tests/testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>

#include "base/file.h"

#define PATH_BYTES 1024u
#define ASKERS     4u
#define NOBODY     65534u

static char compiler[PATH_BYTES];
static char cache[64];
static struct buffer module;
static struct buffer large; /* takes the compiler many seconds and more than 1 GiB */

/* ------------------------------------------------------------------------- world */

/* The exit code of a shell command. */
static int
shell(const char *command)
{
    FILE *pipe = popen(command, "we");

    return pipe == NULL ? -1 : pclose(pipe);
}

static bool
find_compiler(void)
{
    char path[PATH_BYTES - 32];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    bool is_found = false;

    assert_true(length > 0);
    path[length] = '\0';
    for (char *slash; (slash = strrchr(path, '/')) != NULL && slash != path;) {
        char candidate[PATH_BYTES];

        *slash = '\0';
        (void)snprintf(candidate, sizeof(candidate), "%s/weft-compiler", path);
        if (access(candidate, X_OK) != 0)
            continue;
        (void)memcpy(compiler, candidate, sizeof(compiler));
        is_found = true;
#ifndef WEFT_SANITIZE
        break;
#endif
    }
    return is_found;
}

static void
append_leb(struct buffer *out, uint32_t value)
{
    do {
        uint8_t byte = value & 0x7f;

        value >>= 7;
        if (value != 0)
            byte |= 0x80;
        buffer_append(out, &byte, 1);
    } while (value != 0);
}

/* One function of many stores, each of a value that depends on all before. */
static void
make_large(struct buffer *out)
{
    static const uint8_t head[] = "\0asm\1\0\0\0\1\5\1\x60\1\x7f\0\3\2\1\0\5\3\1\0\1";
    /* l = l * 3 + load(l); store(l, l); if (l) { l ^= load(l) } */
    static const uint8_t part[] = {0x20, 0,    0x41, 3,    0x6c, 0x20, 0, 0x28, 2,    0, 0x6a, 0x21,
                                   0,    0x20, 0,    0x20, 0,    0x36, 2, 0,    0x20, 0, 0x04, 0x40,
                                   0x20, 0,    0x20, 0,    0x28, 2,    4, 0x73, 0x21, 0, 0x0b};
    const uint32_t parts = 60000;
    struct buffer body = {0}, section = {0};

    append_leb(&body, 0);
    for (uint32_t i = 0; i < parts; i++)
        buffer_append(&body, part, sizeof(part));
    buffer_append(&body, "\x0b", 1);
    append_leb(&section, 1);
    append_leb(&section, (uint32_t)body.count);
    buffer_append(&section, body.bytes, body.count);
    buffer_append(out, head, sizeof(head) - 1);
    buffer_append(out, "\x0a", 1);
    append_leb(out, (uint32_t)section.count);
    buffer_append(out, section.bytes, section.count);
    assert_int_equal(out->err, 0);
    buffer_fini(&body);
    buffer_fini(&section);
}

static int
setup_all(void **state)
{
    (void)state;
    if (!find_compiler()) {
        print_message("skipped: there is no weft-compiler above this program; run make\n");
        exit(77);
    }
    testing_assemble("(module (func (export \"f\") (result i32) (i32.const 7)))", &module);
    make_large(&large);
    return 0;
}

static int
teardown_all(void **state)
{
    (void)state;
    buffer_fini(&module);
    buffer_fini(&large);
    return 0;
}

static int
setup(void **state)
{
    (void)state;
    (void)snprintf(cache, sizeof(cache), "/tmp/weft-cache-XXXXXX");
    return mkdtemp(cache) != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", cache);
    return shell(command);
}

/* ------------------------------------------------------------------------- asking */

static struct compile_request
request_of(const struct buffer *bytes)
{
    struct compile_request request = {.bytes = bytes->bytes,
                                      .count = bytes->count,
                                      .cache_directory = cache,
                                      .compiler = compiler};

    compile_options_init(&request.options);
    request.options.level = 1;
    request.options.jobs = 1;
    return request;
}

/* The address that the image of a request is made for. */
static uint64_t
get(const struct compile_request *request, struct compile_report *report)
{
    struct abi_image image;
    struct diag diag;
    uint8_t *bytes;
    uint64_t address;
    int fd = -1;

    diag_init(&diag);
    if (compile_get(request, &fd, report, &diag) != 0)
        fail_msg("%s", diag_text(&diag));
    assert_true(fd >= 0);
    bytes = mmap(NULL, report->image_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    assert_int_equal(abi_image_parse(bytes, report->image_bytes, &image, &diag), 0);
    address = image.load_first;
    assert_int_equal(munmap(bytes, report->image_bytes), 0);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(close(fd), 0);
    return address;
}

static void
refuse(const struct compile_request *request, int err, const char *text)
{
    struct compile_report report = {.wall_ns = 123};
    struct diag diag;
    int fd = 77;

    diag_init(&diag);
    assert_int_equal(compile_get(request, &fd, &report, &diag), err);
    if (strstr(diag_text(&diag), text) == NULL)
        fail_msg("\"%s\" is not in: %s", text, diag_text(&diag));
    assert_int_equal(fd, 77);
    assert_int_equal(report.wall_ns, 123);
}

static unsigned
count_files(const char *folder)
{
    char path[128];
    const struct dirent *entry;
    unsigned count = 0;
    DIR *directory;

    (void)snprintf(path, sizeof(path), "%s/%s", cache, folder);
    directory = opendir(path);
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.' && strcmp(entry->d_name, "lock") != 0;
    assert_int_equal(closedir(directory), 0);
    return count;
}

static void
expect_files(unsigned images, unsigned addresses)
{
    assert_int_equal(count_files("images"), images);
    assert_int_equal(count_files("addresses"), addresses);
}

/* A compiler that is a shell script, in the cache directory. */
static void
use_script(struct compile_request *request, const char *text)
{
    static char path[128];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/script", cache);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fprintf(file, "#!/bin/sh\n%s\n", text) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0755), 0);
    request->compiler = path;
}

/* -------------------------------------------------------------------------- tests */

static void
test_an_image_is_compiled_once_and_then_cached(void **state)
{
    struct compile_request request = request_of(&module);
    struct compile_report first, second;
    uint64_t address = get(&request, &first);

    (void)state;
    assert_false(first.was_cached);
    assert_true(first.cpu_ns > 0);
    assert_true(first.memory_bytes_peak > 0);
    assert_int_equal(strlen(first.id), 64);
    assert_int_equal(get(&request, &second), address);
    assert_true(second.was_cached);
    assert_int_equal(second.cpu_ns, 0);
    assert_int_equal(second.image_bytes, first.image_bytes);
    assert_string_equal(second.id, first.id);
    expect_files(1, 1);
}

static void
test_everything_that_shapes_code_gives_an_image_and_an_address_of_its_own(void **state)
{
    struct compile_request requests[6];
    struct compile_report reports[6];
    uint64_t addresses[6];
    struct buffer other = {0};

    (void)state;
    testing_assemble("(module (func (export \"f\") (result i32) (i32.const 8)))", &other);
    for (unsigned i = 0; i < 6; i++)
        requests[i] = request_of(&module);
    requests[1].options.level = 2;
    requests[2].options.strict_traps = true;
    requests[3].options.mode = ABI_LINKED;
    requests[4].options.cpu = "x86-64-v2";
    requests[5] = request_of(&other);
    for (unsigned i = 0; i < 6; i++) {
        addresses[i] = get(&requests[i], &reports[i]);
        assert_false(reports[i].was_cached);
        assert_int_equal(addresses[i] % ABI_IMAGE_ADDRESS_UNIT, 0);
        assert_in_range(addresses[i], ABI_IMAGE_ADDRESS_FIRST, ABI_IMAGE_ADDRESS_END - 1);
        for (unsigned k = 0; k < i; k++) {
            assert_string_not_equal(reports[i].id, reports[k].id);
            assert_true(addresses[i] != addresses[k]);
        }
    }
    expect_files(6, 6);
    buffer_fini(&other);
}

static void
test_what_does_not_shape_code_asks_for_the_same_image(void **state)
{
    struct compile_request request = request_of(&module);
    struct compile_report report;
    uint64_t address = get(&request, &report);

    (void)state;
    request.options.address = ABI_IMAGE_ADDRESS_FIRST + 5 * ABI_IMAGE_ADDRESS_UNIT;
    request.memory_bytes_max = UINT64_C(5) << 30;
    request.seconds_max = 100;
    assert_int_equal(get(&request, &report), address);
    assert_true(report.was_cached);
}

static void
test_a_taken_address_is_not_given_again(void **state)
{
    struct compile_request request = request_of(&module);
    struct compile_report report;
    uint64_t address = get(&request, &report);
    char command[256];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -f %s/images/*", cache);
    assert_int_equal(shell(command), 0);
    assert_true(get(&request, &report) != address);
    assert_false(report.was_cached);
    expect_files(1, 2);
}

/* What a cluster has given away, beside the cache: to whom the unit is that was asked for
 * first, and what was taken. */
struct elsewhere {
    bool is_first_taken;
    uint64_t first; /* UINT64_MAX: nothing was asked for yet */
    struct compile_range taken;
    unsigned takes, returns;
};

static int
take_elsewhere(void *context, const char *id, struct compile_range range, struct diag *diag)
{
    struct elsewhere *elsewhere = context;

    (void)diag;
    assert_int_equal(strlen(id), 64);
    if (elsewhere->first == UINT64_MAX)
        elsewhere->first = range.first;
    if (elsewhere->is_first_taken && range.first == elsewhere->first)
        return -EEXIST;
    elsewhere->takes++;
    elsewhere->taken = range;
    return 0;
}

static void
give_back_elsewhere(void *context, const char *id, struct compile_range range)
{
    struct elsewhere *elsewhere = context;

    (void)id;
    assert_int_equal(range.first, elsewhere->taken.first);
    elsewhere->returns++;
}

static const struct compile_addresses elsewhere_ops = {take_elsewhere, give_back_elsewhere};

static uint64_t
address_of(uint64_t unit)
{
    return ABI_IMAGE_ADDRESS_FIRST + unit * ABI_IMAGE_ADDRESS_UNIT;
}

static void
test_an_address_that_is_taken_elsewhere_is_not_given(void **state)
{
    struct elsewhere elsewhere = {.first = UINT64_MAX, .is_first_taken = true};
    struct compile_request request = request_of(&module);
    struct compile_report report;
    uint64_t address;

    (void)state;
    request.addresses = &elsewhere_ops;
    request.context = &elsewhere;
    address = get(&request, &report);
    assert_true(address != address_of(elsewhere.first));
    assert_int_equal(address, address_of(elsewhere.taken.first));
    assert_int_equal(report.range.first, elsewhere.taken.first);
    assert_int_equal(report.range.count, 1);
    expect_files(1, 1);
    /* One that is cached is asked for again, where it is. */
    assert_int_equal(get(&request, &report), address);
    assert_true(report.was_cached);
    assert_int_equal(elsewhere.takes, 2);
    assert_int_equal(elsewhere.returns, 0);
}

static void
test_a_cached_image_in_the_way_of_another_is_made_anew(void **state)
{
    struct elsewhere elsewhere = {.first = UINT64_MAX, .is_first_taken = true};
    struct compile_request request = request_of(&module);
    struct compile_report report;
    uint64_t before = get(&request, &report);

    (void)state;
    request.addresses = &elsewhere_ops;
    request.context = &elsewhere;
    assert_true(get(&request, &report) != before);
    assert_int_equal(address_of(elsewhere.first), before);
    assert_false(report.was_cached);
    expect_files(1, 2); /* who has the other opened has it there */
}

static void
test_what_fails_gives_its_address_back_elsewhere(void **state)
{
    struct elsewhere elsewhere = {.first = UINT64_MAX};
    struct compile_request request = request_of(&module);

    (void)state;
    request.addresses = &elsewhere_ops;
    request.context = &elsewhere;
    use_script(&request, "exit 1");
    refuse(&request, -EIO, "without saying why");
    assert_int_equal(elsewhere.takes, 1);
    assert_int_equal(elsewhere.returns, 1);
    expect_files(0, 0);
}

static bool
is_unwanted(void *context)
{
    unsigned *asked = context;

    return ++*asked > 2;
}

static void
test_a_compiler_whose_image_nobody_wants_is_ended(void **state)
{
    struct compile_request request = request_of(&module);
    unsigned asked = 0;

    (void)state;
    request.is_unwanted = is_unwanted;
    request.context = &asked;
    use_script(&request, "exec sleep 600");
    refuse(&request, -ECANCELED, "nobody waits");
    assert_int_equal(asked, 3);
    refuse(&request, -ECANCELED, "nobody waits"); /* without beginning */
    assert_int_equal(asked, 4);
    expect_files(0, 0);
}

static void
test_a_module_that_is_not_valid_leaves_nothing(void **state)
{
    static uint8_t text[] = "not a module";
    struct buffer wrong = {.bytes = text, .count = sizeof(text)};
    struct compile_request request = request_of(&wrong);

    (void)state;
    refuse(&request, -EINVAL, "");
    request.count = 0;
    refuse(&request, -EINVAL, "");
    request = request_of(&module);
    request.count--;
    refuse(&request, -EINVAL, "");
    expect_files(0, 0);
}

static void
test_a_compiler_that_takes_too_long_is_ended(void **state)
{
    struct compile_request request = request_of(&module);

    (void)state;
    request.seconds_max = 1;
    use_script(&request, "exec sleep 600");
    refuse(&request, -ETIMEDOUT, "time limit of 1 s");
    expect_files(0, 0);
}

static void
test_a_large_module_exceeds_the_time_limit(void **state)
{
    struct compile_request request = request_of(&large);

    (void)state;
    request.options.level = 3;
    request.seconds_max = 1;
    refuse(&request, -ETIMEDOUT, "time limit of 1 s");
    expect_files(0, 0);
}

static void
test_a_large_module_exceeds_the_memory_limit(void **state)
{
    struct compile_request request = request_of(&large);

    (void)state;
    request.memory_bytes_max = UINT64_C(640) << 20;
    refuse(&request, -ENOMEM, "memory limit of 640 MiB");
    expect_files(0, 0);
}

static void
test_a_compiler_without_any_memory_names_the_limit(void **state)
{
    struct compile_request request = request_of(&module);

    (void)state;
    request.memory_bytes_max = 1u << 20;
    refuse(&request, -ENOMEM, "memory limit of 1 MiB");
    expect_files(0, 0);
}

static void
test_a_compiler_that_breaks_is_reported(void **state)
{
    struct compile_request request = request_of(&module);

    (void)state;
    use_script(&request, "kill -SEGV $$");
    refuse(&request, -EIO, "signal 11");
    use_script(&request, "exit 1");
    refuse(&request, -EIO, "without saying why");
    use_script(&request, "printf '22\\nbecause' >&5; exit 1");
    refuse(&request, -EINVAL, "because");
    use_script(&request, "printf '99999\\nbecause' >&5; exit 1");
    refuse(&request, -EIO, "without saying why");
    expect_files(0, 0);
}

static void
test_a_compiler_that_leaves_no_image_is_refused(void **state)
{
    struct compile_request request = request_of(&module);

    (void)state;
    use_script(&request, "exit 0");
    refuse(&request, -EIO, "without an image");
    use_script(&request, "printf 'not an image' >&4");
    refuse(&request, -EIO, "no valid image");
    expect_files(0, 0);
}

static void
test_a_compiler_that_is_missing_is_named(void **state)
{
    struct compile_request request = request_of(&module);

    (void)state;
    request.compiler = "/nowhere/weft-compiler";
    refuse(&request, -ENOENT, "/nowhere/weft-compiler");
    request.compiler = "/etc/passwd"; /* can be read, not run */
    refuse(&request, -EACCES, "cannot run the compiler /etc/passwd");
    expect_files(0, 0);
}

/* Its own process, so that only the lock of the cache keeps them apart. */
static pid_t
start_asker(int start_fd)
{
    struct compile_request request = request_of(&module);
    struct compile_report report;
    char byte;
    pid_t child = fork();
    int fd;

    assert_true(child >= 0);
    if (child > 0)
        return child;
    if (read(start_fd, &byte, 1) != 1 || compile_get(&request, &fd, &report, NULL) != 0)
        _exit(2);
    _exit(report.was_cached);
}

static void
test_of_those_who_ask_at_the_same_time_one_compiles(void **state)
{
    pid_t children[ASKERS];
    unsigned cached = 0, compiled = 0;
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    for (unsigned i = 0; i < ASKERS; i++)
        children[i] = start_asker(ends[0]);
    assert_int_equal(write(ends[1], "12345678", ASKERS), ASKERS);
    for (unsigned i = 0; i < ASKERS; i++) {
        int status = 0;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status));
        cached += WEXITSTATUS(status) == 1;
        compiled += WEXITSTATUS(status) == 0;
    }
    assert_int_equal(compiled, 1);
    assert_int_equal(cached, ASKERS - 1);
    expect_files(1, 1);
    file_close(&ends[0]);
    file_close(&ends[1]);
}

static void
test_a_cache_that_is_a_file_is_refused(void **state)
{
    struct compile_request request = request_of(&module);
    char path[128];
    int fd;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/file", cache);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    file_close(&fd);
    request.cache_directory = path;
    refuse(&request, -ENOTDIR, path);
    (void)snprintf(path, sizeof(path), "%s/file/below", cache);
    refuse(&request, -ENOTDIR, "set WEFT_CACHE");
}

static void
test_a_cache_that_cannot_be_made_is_refused(void **state)
{
    struct compile_request request = request_of(&module);
    static char endless[5000];

    (void)state;
    request.cache_directory = "/proc/nowhere/cache";
    refuse(&request, -ENOENT, "/proc/nowhere/cache");
    (void)memset(endless, 'a', sizeof(endless) - 1);
    endless[0] = '/';
    request.cache_directory = endless;
    refuse(&request, -ENAMETOOLONG, "cannot use the cache");
}

static void
test_directories_above_the_cache_are_made(void **state)
{
    struct compile_request request = request_of(&module);
    struct compile_report report;
    char path[256];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/a/b//c/", cache);
    request.cache_directory = path;
    (void)get(&request, &report);
    (void)snprintf(path, sizeof(path), "%s/a/b/c/images/%s", cache, report.id);
    assert_int_equal(access(path, R_OK), 0);
}

/* What somebody without rights gets, by exit code: the errno. */
static int
ask_as_nobody(const struct compile_request *request)
{
    struct compile_report report;
    int status = 0, fd;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
                               setresuid(NOBODY, NOBODY, NOBODY) != 0))
            _exit(255);
        _exit(-compile_get(request, &fd, &report, NULL));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

static void
test_a_cache_that_cannot_be_written_is_refused(void **state)
{
    struct compile_request request = request_of(&module);
    char path[128];

    (void)state;
    request.compiler = "/bin/true"; /* anyone may read it */
    assert_int_equal(chmod(cache, 0555), 0);
    assert_int_equal(ask_as_nobody(&request), -EACCES);
    assert_int_equal(chmod(cache, 0755), 0);
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", cache,
                       (const char *[]){"images", "locks", "addresses"}[i]);
        assert_int_equal(mkdir(path, 0777), 0);
        assert_int_equal(chmod(path, i == 1 ? 0777 : 0555), 0);
    }
    assert_int_equal(chmod(cache, 0555), 0);
    assert_int_equal(ask_as_nobody(&request), -EACCES);
    expect_files(0, 0);
    assert_int_equal(chmod(cache, 0755), 0);
}

static void
test_the_environment_says_where_the_cache_is(void **state)
{
    (void)state;
    (void)setenv("HOME", "/home/someone", 1);
    (void)setenv("XDG_CACHE_HOME", "/xdg", 1);
    (void)setenv("WEFT_CACHE", "/own", 1);
    assert_string_equal(compile_cache_directory(), "/own");
    (void)setenv("WEFT_CACHE", "", 1);
    assert_string_equal(compile_cache_directory(), "/xdg/weft");
    (void)setenv("XDG_CACHE_HOME", "not/absolute", 1);
    assert_string_equal(compile_cache_directory(), "/home/someone/.cache/weft");
    (void)unsetenv("XDG_CACHE_HOME");
    (void)unsetenv("WEFT_CACHE");
    assert_string_equal(compile_cache_directory(), "/home/someone/.cache/weft");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_an_image_is_compiled_once_and_then_cached),
        TEST(test_everything_that_shapes_code_gives_an_image_and_an_address_of_its_own),
        TEST(test_what_does_not_shape_code_asks_for_the_same_image),
        TEST(test_a_taken_address_is_not_given_again),
        TEST(test_an_address_that_is_taken_elsewhere_is_not_given),
        TEST(test_a_cached_image_in_the_way_of_another_is_made_anew),
        TEST(test_what_fails_gives_its_address_back_elsewhere),
        TEST(test_a_compiler_whose_image_nobody_wants_is_ended),
        TEST(test_a_module_that_is_not_valid_leaves_nothing),
        TEST(test_a_compiler_that_takes_too_long_is_ended),
        TEST(test_a_large_module_exceeds_the_time_limit),
        TEST(test_a_large_module_exceeds_the_memory_limit),
        TEST(test_a_compiler_without_any_memory_names_the_limit),
        TEST(test_a_compiler_that_breaks_is_reported),
        TEST(test_a_compiler_that_leaves_no_image_is_refused),
        TEST(test_a_compiler_that_is_missing_is_named),
        TEST(test_of_those_who_ask_at_the_same_time_one_compiles),
        TEST(test_a_cache_that_is_a_file_is_refused),
        TEST(test_a_cache_that_cannot_be_made_is_refused),
        TEST(test_directories_above_the_cache_are_made),
        TEST(test_a_cache_that_cannot_be_written_is_refused),
        cmocka_unit_test(test_the_environment_says_where_the_cache_is),
    };

    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
