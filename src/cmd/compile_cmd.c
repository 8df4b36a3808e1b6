/* SPDX-License-Identifier: Apache-2.0
 *
 * weft compile: a module's image, into the cache or a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/cmd_internal.h"

static const char help[] =
    "usage: weft compile [options] MODULE.wasm [-o IMAGE]\n\n"
    "Compiles a module to a native image, which weft run then finds in the cache.\n\n"
    "  -o FILE              write the image there too (an ELF file)\n" CMD_COMPILE_HELP
    "  --json               the report as JSON\n";

struct compile_command {
    struct compile_request request;
    const char *output;
    bool is_json;
};

static void
print_report(const struct compile_command *command, const char *path,
             const struct compile_report *report)
{
    struct buffer text = {0};

    if (command->is_json) {
        buffer_append_format(&text, "{\"module\":");
        cmd_json_string(&text, path, strlen(path));
        buffer_append_format(&text,
                             ",\"image\":\"%s\",\"cached\":%s,\"wall_ms\":%.1f,\"cpu_ms\":%.1f,"
                             "\"peak_mib\":%.1f,\"image_bytes\":%" PRIu64 "}\n",
                             report->id, report->was_cached ? "true" : "false",
                             (double)report->wall_ns / 1e6, (double)report->cpu_ns / 1e6,
                             (double)report->memory_bytes_peak / 1048576.0, report->image_bytes);
    } else if (report->was_cached) {
        buffer_append_format(&text, "%s: cached, image %.12s of %.1f MiB\n", path, report->id,
                             (double)report->image_bytes / 1048576.0);
    } else {
        buffer_append_format(&text,
                             "%s: %.2f s (%.2f s of processor), peak %.0f MiB, image %.12s of "
                             "%.1f MiB\n",
                             path, (double)report->wall_ns / 1e9, (double)report->cpu_ns / 1e9,
                             (double)report->memory_bytes_peak / 1048576.0, report->id,
                             (double)report->image_bytes / 1048576.0);
    }
    (void)fwrite(text.bytes, 1, text.count, stdout);
    buffer_fini(&text);
}

static int
write_output(const char *path, int image_fd, struct diag *diag)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    ssize_t count = 1;
    int err;

    if (fd < 0)
        return diag_set(diag, -errno, "%s: %s", path, strerror(errno));
    while (count > 0)
        count = sendfile(fd, image_fd, NULL, 1u << 30);
    err = count < 0 ? diag_set(diag, -errno, "%s: %s", path, strerror(errno)) : 0;
    (void)close(fd);
    return err;
}

static int
compile_file(struct compile_command *command, const char *path)
{
    struct compile_report report;
    struct buffer bytes = {0};
    struct diag diag;
    int image_fd = -1;
    int err;

    diag_init(&diag);
    err = file_read_all(path, CMD_MODULE_BYTES_MAX, &bytes, &diag);
    if (err == 0) {
        command->request.bytes = bytes.bytes;
        command->request.count = bytes.count;
        err = compile_get(&command->request, &image_fd, &report, &diag);
        diag_prefix(&diag, "%s", path);
    }
    if (err == 0 && command->output != NULL)
        err = write_output(command->output, image_fd, &diag);
    if (err == 0)
        print_report(command, path, &report);
    file_close(&image_fd);
    buffer_fini(&bytes);
    return err == 0 ? CMD_EXIT_OK : cmd_fail(err, &diag);
}

int
cmd_compile(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                            {"json", no_argument, NULL, 'j'},
                                            CMD_COMPILE_OPTIONS,
                                            {NULL, 0, NULL, 0}};
    struct compile_command command = {0};
    struct diag diag;
    int option;

    compile_options_init(&command.request.options);
    while ((option = getopt_long(argc, argv, "o:O:", options, NULL)) != -1) {
        diag_init(&diag);
        if (option == 'h')
            return fputs(help, stdout) < 0 ? CMD_EXIT_FAILED : CMD_EXIT_OK;
        if (option == 'j')
            command.is_json = true;
        else if (option == 'o')
            command.output = optarg;
        else if (!cmd_compile_option(option, optarg, &command.request, &diag))
            return cmd_usage("compile", "%s",
                             diag.is_set ? diag_text(&diag) : "unknown or incomplete option");
    }
    if (optind + 1 != argc)
        return cmd_usage("compile", "one module is wanted");
    return compile_file(&command, argv[optind]);
}
