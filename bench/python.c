/* SPDX-License-Identifier: Apache-2.0
 *
 * CPython in a warm cell: from its Proto-Faaslet, which stands at the first read of
 * standard input with its modules imported, to "hello" and the end of the process.
 *
 *      python --image FILE --proto FILE --input TEXT --expect LINE [--name NAME] [--out FILE]
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "cell/cell.h"
#include "hostcall/hostcall.h"

#define ROUNDS          1000u
#define WARMING         20u
#define PROTO_BYTES_MAX (UINT64_C(1) << 30)
#define NS_PER_US       1000.0

static const char *image_path, *proto_path, *input, *expected, *name = "CPython", *out_path;

static void
require(int err, const char *what, const struct diag *diag)
{
    if (err == 0)
        return;
    (void)fprintf(stderr, "%s: %s %s\n", what, strerror(-err), diag != NULL ? diag_text(diag) : "");
    exit(EXIT_FAILURE);
}

struct chain {
    struct cell_function *function;
    struct hostcall_process *process;
    double times_us[ROUNDS];
    size_t count;
    uint64_t begin_ns;
    _Atomic bool is_over;
};

static void start(struct chain *chain);

static void
check_end(const struct cell_end *end)
{
    size_t count;
    const uint8_t *bytes = hostcall_process_output(end->process, 1, &count);

    if ((end->kind == CELL_EXIT && end->exit_code == 0) || end->kind == CELL_DONE)
        if (count == strlen(expected) + 1 && memcmp(bytes, expected, count - 1) == 0)
            return;
    (void)fprintf(stderr, "ended as %d, exit code %d, %s, output %.*s\n", end->kind, end->exit_code,
                  end->message, (int)count, (const char *)bytes);
    exit(EXIT_FAILURE);
}

static void
on_end(void *context, const struct cell_end *end)
{
    struct chain *chain = context;
    uint64_t now = clock_now_ns();

    check_end(end);
    if (chain->count >= WARMING)
        chain->times_us[chain->count - WARMING] = (double)(now - chain->begin_ns) / NS_PER_US;
    hostcall_process_destroy(chain->process);
    if (++chain->count == ROUNDS + WARMING)
        atomic_store(&chain->is_over, true);
    else
        start(chain);
}

/* From the call's arrival: its record of files is part of it. */
static void
start(struct chain *chain)
{
    const struct hostcall_config config = {
        .input = input,
        .input_bytes = strlen(input),
        .args = (const char *const[]){"python"},
        .arg_count = 1,
        .stdio = {HOSTCALL_MEMORY, HOSTCALL_MEMORY, HOSTCALL_MEMORY}};
    struct cell_call call = {.on_end = on_end, .context = chain};
    struct diag diag;
    uint64_t id;

    diag_init(&diag);
    chain->begin_ns = clock_now_ns();
    require(hostcall_process_create(&config, &chain->process, &diag), "process", &diag);
    call.process = chain->process;
    require(cell_start(chain->function, &call, &id), "start", NULL);
}

static struct faaslet_frozen *
load_proto(struct faaslet_image *image)
{
    const struct faaslet_load load = {&image, 1, hostcall_resolve};
    struct faaslet_frozen *frozen;
    struct buffer bytes = {0};
    struct diag diag;

    diag_init(&diag);
    require(file_read_all(proto_path, PROTO_BYTES_MAX, &bytes, &diag), proto_path, &diag);
    require(faaslet_frozen_load(bytes.bytes, bytes.count, &load, &frozen, &diag), proto_path,
            &diag);
    buffer_fini(&bytes);
    return frozen;
}

static void
create_function(struct cell *cell, struct cell_function **out)
{
    struct cell_function_config config = {
        .faaslet = {.resolve = hostcall_resolve, .ops = &hostcall_process_ops}};
    struct faaslet_image *image;
    struct diag diag;
    int fd = open(image_path, O_RDONLY | O_CLOEXEC);

    diag_init(&diag);
    require(fd < 0 ? -errno : 0, image_path, NULL);
    require(faaslet_image_load(fd, &image, &diag), image_path, &diag);
    (void)close(fd);
    config.frozen = load_proto(image);
    require(cell_function_create(cell, &config, out, &diag), "function", &diag);
    faaslet_frozen_destroy(config.frozen);
    faaslet_image_put(image);
}

static int
by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void
report(double times_us[ROUNDS])
{
    static const unsigned percents[] = {50, 99};
    FILE *rows = out_path != NULL ? fopen(out_path, "ae") : NULL;

    qsort(times_us, ROUNDS, sizeof(*times_us), by_value);
    for (size_t i = 0; i < ARRAY_COUNT(percents); i++) {
        double value = times_us[(ROUNDS - 1) * percents[i] / 100];

        (void)printf("%s p%u %28.1f us\n", name, percents[i], value);
        if (rows != NULL)
            (void)fprintf(rows,
                          "{\"name\":\"%s p%u\",\"value\":%.6g,\"unit\":\"us\",\"peer\":null,"
                          "\"peer_value\":null,\"ratio\":null}\n",
                          name, percents[i], value);
    }
    if (rows != NULL)
        (void)fclose(rows);
}

static void
parse(int argc, char **argv)
{
    const struct {
        const char *flag;
        const char **value;
    } flags[] = {{"--image", &image_path}, {"--proto", &proto_path}, {"--input", &input},
                 {"--name", &name},        {"--expect", &expected},  {"--out", &out_path}};

    for (int i = 1; i + 1 < argc; i += 2)
        for (size_t k = 0; k < ARRAY_COUNT(flags); k++)
            if (strcmp(argv[i], flags[k].flag) == 0)
                *flags[k].value = argv[i + 1];
    if (image_path == NULL || proto_path == NULL || input == NULL || expected == NULL)
        require(-EINVAL, "usage: python --image FILE --proto FILE --input TEXT --expect LINE",
                NULL);
}

int
main(int argc, char **argv)
{
    const struct cell_config config = {.executors = 1};
    static struct chain chain;
    struct cell *cell;
    struct diag diag;

    parse(argc, argv);
    diag_init(&diag);
    require(cell_create(&config, &cell, &diag), "cell", &diag);
    create_function(cell, &chain.function);
    start(&chain);
    while (!atomic_load(&chain.is_over))
        (void)usleep(1000);
    report(chain.times_us);
    cell_function_drop(chain.function);
    cell_destroy(cell);
    return EXIT_SUCCESS;
}
