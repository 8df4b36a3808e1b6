/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules become versions: through weft-compiler, with what is said of them.
 */
#include "gateway/gateway_testing.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "abi/abi.h"

static const char command[] = "(module (memory (export \"memory\") 1) (func (export \"_start\")))";
static const char library[] = "(module (memory (export \"memory\") 1)"
                              " (func (export \"handle\")) (func (export \"other\")))";

static void
assemble(const char *text, struct buffer *out)
{
    char source[] = "/tmp/weft-test-XXXXXX", line[256];
    uint8_t block[4096];
    size_t count;
    FILE *pipe;
    int fd = mkstemp(source);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)snprintf(line, sizeof(line), "wat2wasm --enable-threads --output=- %s", source);
    pipe = popen(line, "r");
    assert_non_null(pipe);
    while ((count = fread(block, 1, sizeof(block), pipe)) > 0)
        buffer_append(out, block, count);
    assert_int_equal(pclose(pipe), 0);
    (void)close(fd);
    (void)unlink(source);
}

static void
put_module(struct testing *t, const char *path, const char *text, long status,
           struct testing_answer *answer)
{
    struct buffer module = {0};

    assemble(text, &module);
    testing_expect(t,
                   &(struct testing_ask){.method = "PUT",
                                         .path = path,
                                         .token = t->acme,
                                         .type = "application/wasm",
                                         .body = module.bytes,
                                         .count = module.count},
                   status, answer);
    buffer_fini(&module);
}

static void
put_description(struct testing *t, const char *path, const char *text, long status,
                struct testing_answer *answer)
{
    testing_expect(
        t,
        &(struct testing_ask){
            .method = "PUT", .path = path, .token = t->acme, .body = text, .count = strlen(text)},
        status, answer);
}

static bool
has_compiler(const struct testing *t)
{
    if (access(t->gateway->compiler, X_OK) == 0)
        return true;
    print_message("skipped: there is no %s; run make\n", t->gateway->compiler);
    return false;
}

static const json_t *
newest(struct testing *t, const char *function, struct testing_answer *answer)
{
    char line[128];

    (void)snprintf(line, sizeof(line), "GET /v1/functions/%s", function);
    testing_send(t, line, NULL, 200, answer);
    return json_array_get(json_object_get(answer->json, "versions"), 0);
}

static void
test_a_module_becomes_a_version_that_is_called(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    const json_t *version;

    if (!has_compiler(t))
        skip();
    put_module(t, "/v1/functions/hello?wall_ms=1500&memory=65536&attempts=2", command, 201,
               &answer);
    assert_string_equal(testing_text(answer.json, "function"), "hello");
    assert_int_equal(json_integer_value(json_object_get(answer.json, "version")), 1);
    assert_false(json_is_true(json_object_get(answer.json, "was_cached")));
    assert_int_equal(strlen(testing_text(answer.json, "image")), 64);
    assert_string_equal(testing_doubles.changed_function, "hello");
    put_module(t, "/v1/functions/hello", command, 201, &answer);
    assert_int_equal(json_integer_value(json_object_get(answer.json, "version")), 2);
    assert_true(json_is_true(json_object_get(answer.json, "was_cached")));
    testing_send(t, "POST /v1/invoke/hello", NULL, 200, &answer);
    assert_string_equal((char *)answer.body.bytes, "hello");
    testing_send(t, "GET /v1/functions/hello", NULL, 200, &answer);
    version = json_array_get(json_object_get(answer.json, "versions"), 1);
    assert_string_equal(testing_text(version, "kind"), "command");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(version, "limits"), "wall_ms")), 1500);
    assert_string_equal(testing_text(version, "created_by"), "all");
    put_module(t, "/v1/functions/part?entry=handle", library, 201, &answer);
    assert_string_equal(testing_text(newest(t, "part", &answer), "kind"), "library");
    testing_forget_answer(&answer);
}

static void
test_a_module_that_is_none_is_told_why(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    struct testing_ask ask = {.method = "PUT",
                              .path = "/v1/functions/bad",
                              .token = t->acme,
                              .type = "application/wasm",
                              .body = "not a module",
                              .count = 12};

    testing_expect(t, &ask, 400, &answer);
    assert_string_equal(testing_code(&answer), "module_invalid");
    ask.count = 0;
    testing_expect(t, &ask, 400, &answer);
    ask.type = "text/plain";
    testing_expect(t, &ask, 415, &answer);
    put_module(t, "/v1/functions/bad?entry=nothing", library, 400, &answer);
    assert_non_null(strstr((char *)answer.body.bytes, "nothing"));
    put_module(t, "/v1/functions/bad",
               "(module (import \"wasi\" \"thread-spawn\" (func (param i32) (result i32)))"
               "(memory 1) (func (export \"_start\")))",
               400, &answer);
    assert_non_null(strstr((char *)answer.body.bytes, "no shared memory"));
    put_module(t, "/v1/functions/bad",
               "(module (import \"wasi\" \"thread-spawn\" (func (param i32) (result i32)))"
               "(memory 1 1 shared) (func (export \"_start\")))",
               400, &answer);
    assert_non_null(strstr((char *)answer.body.bytes, "does not export wasi_thread_start"));
    put_module(t, "/v1/functions/bad",
               "(module (import \"env\" \"MPI_Frobnicate\" (func)) (memory 1)"
               "(func (export \"_start\")))",
               400, &answer);
    assert_non_null(strstr((char *)answer.body.bytes, "it imports env.MPI_Frobnicate, which Weft"));
    put_module(t, "/v1/functions/bad?wall_ms=soon", command, 400, &answer);
    testing_send(t, "GET /v1/functions/bad", NULL, 404, &answer);
    testing_forget_answer(&answer);
}

/* The hash of a blob that this tenant puts. */
static void
put_blob(struct testing *t, const char *text, char hash[65])
{
    struct testing_answer answer = {0};
    struct buffer module = {0};

    assemble(text, &module);
    testing_expect(t,
                   &(struct testing_ask){.method = "POST",
                                         .path = "/v1/blobs",
                                         .token = t->acme,
                                         .body = module.bytes,
                                         .count = module.count},
                   201, &answer);
    (void)snprintf(hash, 65, "%s", testing_text(answer.json, "hash"));
    buffer_fini(&module);
    testing_forget_answer(&answer);
}

static void
test_a_description_becomes_a_version_with_all_it_says(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    const json_t *version;
    char hash[65], text[1024];

    if (!has_compiler(t))
        skip();
    put_blob(t, command, hash);
    (void)snprintf(
        text, sizeof(text),
        "{\"module\":\"%s\",\"args\":[\"p\",\"-v\"],\"language\":\"c\",\"note\":\"first\","
        "\"env\":{\"K\":\"V\"},\"files\":{\"/data/m\":\"%s\"},\"ranks\":1,"
        "\"retry\":{\"attempts\":3,\"pause_ms\":10}}",
        hash, hash);
    put_description(t, "/v1/functions/told", text, 201, &answer);
    version = newest(t, "told", &answer);
    assert_string_equal(testing_text(version, "note"), "first");
    assert_string_equal(testing_text(version, "module"), hash);
    assert_string_equal(testing_text(json_object_get(version, "env"), "K"), "V");
    assert_string_equal(testing_text(json_object_get(version, "files"), "/data/m"), hash);
    assert_string_equal(json_string_value(json_array_get(json_object_get(version, "args"), 1)),
                        "-v");
    put_description(t, "/v1/functions/told", "{\"note\":\"same module\"}", 201, &answer);
    assert_string_equal(testing_text(newest(t, "told", &answer), "module"), hash);
    put_description(t, "/v1/functions/untold", "{\"note\":\"of nothing\"}", 404, &answer);
    put_description(t, "/v1/functions/told", "{\"secrets\":[\"NOBODY\"]}", 404, &answer);
    (void)snprintf(text, sizeof(text), "{\"module\":\"%s\",\"kind\":\"king\"}", hash);
    put_description(t, "/v1/functions/told", text, 400, &answer);
    assert_string_equal(testing_code(&answer), "field_invalid");
    /* Its blob is another tenant's: nobody's. */
    (void)snprintf(text, sizeof(text), "{\"module\":\"%s\"}", hash);
    testing_send_as(t, t->other, "PUT /v1/functions/told", text, 404);
    testing_forget_answer(&answer);
}

static void
test_ranks_are_of_programs_that_can_speak_to_each_other(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char hash[65], text[256];

    if (!has_compiler(t))
        skip();
    put_blob(t, command, hash);
    (void)snprintf(text, sizeof(text), "{\"module\":\"%s\",\"ranks\":2}", hash);
    put_description(t, "/v1/functions/lonely", text, 400, &answer);
    assert_non_null(strstr((char *)answer.body.bytes, "no MPI program"));
    put_blob(t,
             "(module (import \"weft_group\" \"leave\" (func)) (memory (export \"memory\") 1)"
             "(func (export \"_start\")))",
             hash);
    (void)snprintf(text, sizeof(text), "{\"module\":\"%s\",\"ranks\":4097}", hash);
    put_description(t, "/v1/functions/many", text, 400, &answer);
    assert_non_null(strstr((char *)answer.body.bytes, "more ranks than"));
    (void)snprintf(text, sizeof(text), "{\"module\":\"%s\",\"ranks\":4096}", hash);
    put_description(t, "/v1/functions/many", text, 201, &answer);
    testing_forget_answer(&answer);
}

static void
test_a_snapshot_is_made_by_a_host_and_kept(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char hash[65], text[256];
    const json_t *version;

    if (!has_compiler(t))
        skip();
    put_blob(t, command, hash);
    (void)snprintf(text, sizeof(text), "{\"module\":\"%s\",\"snapshot\":\"fd_read:0\"}", hash);
    put_description(t, "/v1/functions/frozen", text, 201, &answer);
    assert_int_equal(strlen(testing_text(answer.json, "proto")), 64);
    version = newest(t, "frozen", &answer);
    assert_string_equal(testing_text(version, "kind"), "snapshot");
    put_description(t, "/v1/functions/fail", text, 400, &answer);
    assert_string_equal(testing_code(&answer), "snapshot_failed");
    assert_non_null(strstr((char *)answer.body.bytes, "it never came there; it was refused more "
                                                      "by its threads limit"));
    testing_forget_answer(&answer);
}

static void
test_what_one_planner_compiled_another_finds(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    char cache[96], gone[96];

    if (!has_compiler(t))
        skip();
    put_module(t, "/v1/functions/hello", command, 201, &answer);
    testing_tell(t, NULL);
    gateway_destroy(t->gateway);
    (void)snprintf(cache, sizeof(cache), "%s/cache", t->directory);
    (void)snprintf(gone, sizeof(gone), "%s/gone", t->directory);
    assert_int_equal(rename(cache, gone), 0);
    testing_open_gateway(t, NULL, NULL);
    put_module(t, "/v1/functions/hello", command, 201, &answer);
    assert_true(json_is_true(json_object_get(answer.json, "was_cached")));
    assert_true(json_number_value(json_object_get(answer.json, "compile_ms")) == 0);
    testing_forget_answer(&answer);
}

/* ------------------------------------------------------------------------- addresses */

static const char id_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char id_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static bool
note_unit(void *context, const struct store_record *record)
{
    uint64_t *units = context, unit = 0;

    for (size_t i = 0; i < record->key_count; i++)
        unit = unit << 8 | ((const uint8_t *)record->key)[i];
    units[++units[0]] = unit;
    return units[0] < 8;
}

/* units[0]: how many there are, at most 8; then which. */
static void
list_units(struct testing *t, uint64_t units[9])
{
    const struct store_range range = {.table = "address"};

    units[0] = 0;
    assert_int_equal(store_list(t->store, &range, note_unit, units, NULL), 0);
}

/* Where the image of a version is. */
static uint64_t
unit_of(struct testing *t, const struct testing_answer *answer)
{
    struct store_hash hash;
    struct abi_image image;
    uint64_t bytes;
    void *all;
    int fd;

    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(
            sscanf(testing_text(answer->json, "image") + 2 * i, "%2hhx", &hash.bytes[i]), 1);
    assert_int_equal(store_blob_stat(t->store, &hash, &bytes, NULL), 0);
    assert_int_equal(store_blob_get(t->store, &hash, &fd, NULL), 0);
    all = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(all, MAP_FAILED);
    (void)close(fd);
    assert_int_equal(abi_image_parse(all, bytes, &image, NULL), 0);
    (void)munmap(all, bytes);
    return (image.load_first - ABI_IMAGE_ADDRESS_FIRST) / ABI_IMAGE_ADDRESS_UNIT;
}

static void
another_cache(struct testing *t, const char *before)
{
    char cache[96], other[96];

    testing_tell(t, NULL);
    gateway_destroy(t->gateway);
    (void)snprintf(cache, sizeof(cache), "%s/cache", t->directory);
    (void)snprintf(other, sizeof(other), "%s/%s", t->directory, before);
    assert_int_equal(rename(cache, other), 0);
    testing_open_gateway(t, NULL, NULL);
}

static bool
note_key(void *context, const struct store_record *record)
{
    buffer_append(context, record->key, record->key_count);
    return true;
}

/* What the store knows of images, and who has this unit. */
static void
give_away(struct testing *t, uint64_t unit, const char *id)
{
    const struct compile_range range = {.first = unit, .count = 1};
    const struct store_range images = {.table = "image"}, units = {.table = "address"};
    struct store_change changes[2] = {{.is_removal = true}, {.is_removal = true}};
    struct buffer image = {0}, address = {0};

    assert_int_equal(store_list(t->store, &images, note_key, &image, NULL), 0);
    assert_int_equal(store_list(t->store, &units, note_key, &address, NULL), 0);
    assert_int_equal(image.count, 64); /* one of each */
    assert_int_equal(address.count, 8);
    changes[0].key = (struct store_key){"image", image.bytes, image.count};
    changes[1].key = (struct store_key){"address", address.bytes, address.count};
    assert_int_equal(store_commit(t->store, changes, 2, NULL, NULL, NULL), 0);
    assert_int_equal(gateway_address_take(t->gateway, id, range, NULL, NULL), 0);
    buffer_fini(&image);
    buffer_fini(&address);
}

/* Two planners' caches know nothing of each other, and both would take what fits the
 * image's name. */
static void
test_what_another_planner_gave_away_is_not_given(void **state)
{
    struct testing *t = *state;
    struct testing_answer answer = {0};
    const struct compile_range none = {.count = 1};
    uint64_t first, units[9];

    if (!has_compiler(t))
        skip();
    put_module(t, "/v1/functions/one", command, 201, &answer);
    first = unit_of(t, &answer);
    list_units(t, units);
    assert_int_equal(units[0], 1);
    assert_int_equal(units[1], first);
    give_away(t, first, id_b);
    /* From the cache that has it, at an address that is another's by now. */
    put_module(t, "/v1/functions/one", command, 201, &answer);
    assert_int_not_equal(unit_of(t, &answer), first);
    list_units(t, units);
    assert_int_equal(units[0], 2);
    /* And from one that is empty. */
    gateway_address_give_back(t->gateway, id_b, (struct compile_range){first, 1}, NULL);
    give_away(t, first, id_b);
    another_cache(t, "gone");
    put_module(t, "/v1/functions/one", command, 201, &answer);
    assert_false(json_is_true(json_object_get(answer.json, "was_cached")));
    assert_int_not_equal(unit_of(t, &answer), first);
    assert_int_equal(gateway_address_take(t->gateway, id_a, none, NULL, NULL), 0);
    testing_forget_answer(&answer);
}

static void
test_an_address_is_one_images(void **state)
{
    struct testing *t = *state;
    const struct compile_range range = {.first = 5, .count = 3}, part = {.first = 7, .count = 2};
    const struct store_change known = {.key = {"image", "k", 1}, .value = "v", .count = 1};
    const struct store_change unless = {.key = {"image", "k", 1}, .condition = STORE_ABSENT};
    uint64_t units[9];

    assert_int_equal(gateway_address_take(t->gateway, id_a, range, NULL, NULL), 0);
    assert_int_equal(gateway_address_take(t->gateway, id_b, part, NULL, NULL), -EEXIST);
    list_units(t, units);
    assert_int_equal(units[0], 3);                            /* none of a range that is refused */
    gateway_address_give_back(t->gateway, id_b, range, NULL); /* another's */
    list_units(t, units);
    assert_int_equal(units[0], 3);
    assert_int_equal(gateway_address_take(t->gateway, id_a, range, &known, NULL), 0);
    gateway_address_give_back(t->gateway, id_a, range, &unless); /* known by now */
    list_units(t, units);
    assert_int_equal(units[0], 3);
    gateway_address_give_back(t->gateway, id_a, range, NULL);
    assert_int_equal(gateway_address_take(t->gateway, id_b, part, &known, NULL), 0);
    list_units(t, units);
    assert_int_equal(units[0], 2);
}

struct taker {
    struct gateway *gateway;
    const char *id;
    unsigned taken;
    pthread_t thread;
};

static void *
take_many(void *object)
{
    struct taker *taker = object;

    for (uint64_t i = 0; i < 200; i++)
        taker->taken += gateway_address_take(taker->gateway, taker->id,
                                             (struct compile_range){2 * i, 3}, NULL, NULL) == 0;
    return NULL;
}

/* Each range overlaps the next, and both go through them in the same order. */
static void
test_of_two_who_take_at_the_same_time_one_has_it(void **state)
{
    struct testing *t = *state;
    struct taker takers[2] = {{.id = id_a}, {.id = id_b}};

    for (unsigned i = 0; i < 2; i++) {
        takers[i].gateway = t->gateway;
        assert_int_equal(pthread_create(&takers[i].thread, NULL, take_many, &takers[i]), 0);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_join(takers[i].thread, NULL), 0);
    assert_in_range(takers[0].taken + takers[1].taken, 1, 200);
}

/* ------------------------------------------------------------------- a compiler that stays */

/* Says in the file "begun" that it runs, and goes on for a long time. */
static void
use_slow_compiler(struct testing *t)
{
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/compiler", t->directory);
    file = fopen(path, "we");
    assert_non_null(file);
    (void)fprintf(file, "#!/bin/sh\necho $$ >%s/begun\nexec sleep 1000\n", t->directory);
    (void)fclose(file);
    assert_int_equal(chmod(path, 0755), 0);
    (void)snprintf(t->gateway->compiler, sizeof(t->gateway->compiler), "%s", path);
}

static pid_t
await_compiler(struct testing *t)
{
    char path[128];
    int pid = 0;

    (void)snprintf(path, sizeof(path), "%s/begun", t->directory);
    while (pid == 0) {
        FILE *file = fopen(path, "re");

        if (file == NULL || fscanf(file, "%d", &pid) != 1)
            pid = 0;
        if (file != NULL)
            (void)fclose(file);
        (void)usleep(1000);
    }
    return pid;
}

static void
await_end_of(pid_t pid)
{
    while (kill(pid, 0) == 0)
        (void)usleep(1000);
}

static int
open_deploy(struct testing *t)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct buffer module = {0}, request = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)atoi(strrchr(t->url, ':') + 1));
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assemble(command, &module);
    buffer_append_format(&request,
                         "PUT /v1/functions/long HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s"
                         "\r\nContent-Type: application/wasm\r\nContent-Length: %zu\r\n\r\n",
                         t->acme, module.count);
    buffer_append(&request, module.bytes, module.count);
    assert_int_equal(send(fd, request.bytes, request.count, 0), (ssize_t)request.count);
    buffer_fini(&request);
    buffer_fini(&module);
    return fd;
}

static void
test_a_client_that_goes_away_ends_its_compiler(void **state)
{
    struct testing *t = *state;
    uint64_t units[9];
    pid_t compiler;
    int fd;

    use_slow_compiler(t);
    fd = open_deploy(t);
    compiler = await_compiler(t);
    assert_int_equal(kill(compiler, 0), 0);
    (void)close(fd);
    await_end_of(compiler);
    do {
        list_units(t, units); /* and its address is given back */
    } while (units[0] != 0);
}

static void
test_the_gateways_end_ends_the_compiler(void **state)
{
    struct testing *t = *state;
    char text[256] = "";
    pid_t compiler;
    int fd;

    use_slow_compiler(t);
    fd = open_deploy(t);
    compiler = await_compiler(t);
    testing_tell(t, NULL);
    gateway_destroy(t->gateway);
    assert_int_equal(kill(compiler, 0), -1);
    assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
    assert_non_null(strstr(text, " 503 "));
    (void)close(fd);
    testing_open_gateway(t, NULL, NULL);
}

static const struct CMUnitTest tests[] = {
    TEST(test_a_module_becomes_a_version_that_is_called),
    TEST(test_a_module_that_is_none_is_told_why),
    TEST(test_a_description_becomes_a_version_with_all_it_says),
    TEST(test_ranks_are_of_programs_that_can_speak_to_each_other),
    TEST(test_a_snapshot_is_made_by_a_host_and_kept),
    TEST(test_what_one_planner_compiled_another_finds),
    TEST(test_what_another_planner_gave_away_is_not_given),
    TEST(test_an_address_is_one_images),
    TEST(test_of_two_who_take_at_the_same_time_one_has_it),
    TEST(test_a_client_that_goes_away_ends_its_compiler),
    TEST(test_the_gateways_end_ends_the_compiler),
};

int
main(void)
{
    (void)curl_global_init(CURL_GLOBAL_ALL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
