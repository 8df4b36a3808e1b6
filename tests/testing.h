/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests that run guests: images from WebAssembly text.
 */
#ifndef WEFT_TESTS_TESTING_H
#define WEFT_TESTS_TESTING_H

/* cmocka wants these first, in this order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "compile/compile.h"
#include "faaslet/faaslet.h"

/* cmocka installs handlers of faults around every test, with this function. Traps
 * of guests are faults, so the ones of faaslet must stay. */
__sighandler_t
signal(int number, __sighandler_t handler)
{
    (void)number;
    (void)handler;
    return SIG_DFL;
}

/* Each image gets an address of its own. */
static inline uint64_t
testing_next_address(void)
{
    static uint64_t count;

    return ABI_IMAGE_ADDRESS_FIRST + count++ * ABI_IMAGE_ADDRESS_UNIT;
}

/* The binary of a module in text form. */
static inline void
testing_assemble(const char *text, struct buffer *out)
{
    char source[] = "/tmp/weft-test-XXXXXX";
    char command[256];
    uint8_t block[4096];
    size_t count;
    FILE *pipe;
    int fd = mkstemp(source);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)snprintf(command, sizeof(command),
                   "wat2wasm --enable-threads --enable-exceptions --enable-tail-call "
                   "--debug-names --output=- %s",
                   source);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    while ((count = fread(block, 1, sizeof(block), pipe)) > 0)
        buffer_append(out, block, count);
    assert_int_equal(pclose(pipe), 0);
    (void)close(fd);
    (void)unlink(source);
    assert_true(out->count > 0);
}

/* The ELF image of a module in text form, in memory. */
static inline int
testing_compile(const char *text, enum abi_mode mode, unsigned level)
{
    struct compile_options options;
    struct buffer module = {0};
    struct diag diag;
    int fd = memfd_create("test-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    diag_init(&diag);
    testing_assemble(text, &module);
    compile_options_init(&options);
    options.level = level;
    options.mode = mode;
    options.jobs = 1;
    options.address = testing_next_address();
    if (compile_image(module.bytes, module.count, &options, fd, &diag) != 0)
        fail_msg("cannot compile: %s", diag_text(&diag));
    buffer_fini(&module);
    return fd;
}

static inline struct faaslet_image *
testing_image(const char *text, enum abi_mode mode)
{
    struct faaslet_image *image = NULL;
    struct diag diag;
    int fd = testing_compile(text, mode, 1);

    diag_init(&diag);
    if (faaslet_image_load(fd, &image, &diag) != 0)
        fail_msg("cannot load: %s", diag_text(&diag));
    (void)close(fd);
    return image;
}

/* setup and teardown of a group of tests with one image, `image`. */
#define TESTING_IMAGE_GROUP(text) \
    static int setup(void **state) \
    { \
        (void)state; \
        assert_int_equal(faaslet_thread_init(), 0); \
        image = testing_image(text, ABI_STANDALONE); \
        return 0; \
    } \
\
    static int teardown(void **state) \
    { \
        (void)state; \
        faaslet_image_put(image); \
        return 0; \
    }

/* A host function: exit(code). */
static inline enum faaslet_verdict
testing_exit(struct faaslet_call *call)
{
    call->exit_code = (int)call->args[0];
    return FAASLET_CALL_EXIT;
}

static inline struct faaslet *
testing_create(struct faaslet_image *image, const struct faaslet_config *config)
{
    struct faaslet *faaslet = NULL;
    struct diag diag;

    diag_init(&diag);
    if (faaslet_create(image, config, &faaslet, &diag) != 0)
        fail_msg("cannot create: %s", diag_text(&diag));
    return faaslet;
}

/* Runs INIT, which must be done. */
static inline void
testing_init(struct faaslet *faaslet, uint32_t instance)
{
    struct faaslet_outcome outcome;

    assert_int_equal(faaslet_invoke_init(faaslet, instance), 0);
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    assert_int_equal(outcome.kind, FAASLET_DONE);
}

static inline struct faaslet_outcome
testing_call(struct faaslet *faaslet, const char *name, const uint64_t *args, size_t count)
{
    struct faaslet_outcome outcome;

    assert_int_equal(faaslet_invoke(faaslet, 0, name, args, count), 0);
    faaslet_run(faaslet, CLOCK_NEVER_NS, &outcome);
    return outcome;
}

/* The only result of a call that must be done. */
static inline uint64_t
testing_result(struct faaslet *faaslet, const char *name, const uint64_t *args, size_t count)
{
    struct faaslet_outcome outcome = testing_call(faaslet, name, args, count);
    uint64_t result = 0;

    assert_int_equal(outcome.kind, FAASLET_DONE);
    assert_int_equal(faaslet_results(faaslet, 0, &result, 1), 0);
    return result;
}

#endif
