/* SPDX-License-Identifier: Apache-2.0
 *
 * A snapshot as bytes:
 *
 *      struct head | struct span x span_count | zstd frame of the spans' pages
 *      | SHA-256 of all before
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>
#include <zstd.h>

#include "base/fault.h"
#include "mem/mem_internal.h"

#define MAGIC      UINT64_C(0x504e535446455700) /* "\0WEFTSNP", read from its end */
#define VERSION    1u
#define LEVEL      3
#define ROOM_EXTRA 64u /* for flushes */
#define SPANS_MAX  (UINT64_C(1) << 20)
#define BELOW_MAX  MEM_WINDOW_BYTES

struct head {
    uint64_t magic;
    uint32_t version, window_count;
    uint64_t below_bytes;
    uint64_t span_count;
    uint64_t raw_bytes;    /* of all spans */
    uint64_t packed_bytes; /* of the frame */
    uint64_t window_bytes[MEM_WINDOWS_MAX];
};

struct span {
    int64_t offset;
    uint64_t bytes;
};

static void
append_spans(const struct mem_snapshot *snapshot, struct buffer *out)
{
    for (size_t i = 0; i < snapshot->runs.count; i++) {
        struct span span = {snapshot->runs.runs[i].offset, snapshot->runs.runs[i].bytes};

        buffer_append(out, &span, sizeof(span));
    }
}

static uint64_t
sum_runs(const struct mem_runs *runs)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < runs->count; i++)
        bytes += runs->runs[i].bytes;
    return bytes;
}

/* One frame over all runs, piece by piece. */
static int
pack(const struct mem_snapshot *snapshot, ZSTD_CCtx *context, uint8_t *place, size_t room,
     size_t *packed)
{
    ZSTD_outBuffer out = {place, room, 0};
    size_t left;

    for (size_t i = 0; i < snapshot->runs.count; i++) {
        const struct mem_run *run = &snapshot->runs.runs[i];
        ZSTD_inBuffer in = {atomic_load(&run->file->view) + run->file_offset, run->bytes, 0};

        while (in.pos < in.size) {
            left = ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue);
            if (ZSTD_isError(left) || out.pos == out.size)
                return -ENOMEM;
        }
    }
    do {
        ZSTD_inBuffer none = {0};

        left = ZSTD_compressStream2(context, &out, &none, ZSTD_e_end);
        if (ZSTD_isError(left) || (left != 0 && out.pos == out.size))
            return -ENOMEM;
    } while (left != 0);
    *packed = out.pos;
    return 0;
}

/* Appends the frame, and sets its size. */
static int
append_frame(const struct mem_snapshot *snapshot, struct head *head, struct buffer *out)
{
    size_t begin = out->count, packed = 0;
    size_t room = ZSTD_compressBound(head->raw_bytes) + ROOM_EXTRA;
    ZSTD_CCtx *context = ZSTD_createCCtx();
    int err;

    buffer_append(out, NULL, room);
    err = context == NULL ? -ENOMEM : out->err;
    if (err == 0) {
        (void)ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, LEVEL);
        err = pack(snapshot, context, out->bytes + begin, room, &packed);
    }
    (void)ZSTD_freeCCtx(context);
    if (err == 0)
        out->count = begin + packed;
    head->packed_bytes = packed;
    return err;
}

int
mem_snapshot_save(const struct mem_snapshot *snapshot, struct buffer *out)
{
    size_t begin = out->count;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct head head = {
        .magic = MAGIC,
        .version = VERSION,
        .window_count = snapshot->window_count,
        .below_bytes = snapshot->below_bytes,
        .span_count = snapshot->runs.count,
        .raw_bytes = sum_runs(&snapshot->runs),
    };
    int err = mem_snapshot_view(snapshot);

    if (err != 0)
        return err;
    (void)memcpy(head.window_bytes, snapshot->window_bytes, sizeof(head.window_bytes));
    buffer_append(out, &head, sizeof(head));
    append_spans(snapshot, out);
    err = append_frame(snapshot, &head, out);
    if (err != 0) {
        out->count = out->err == 0 ? begin : out->count;
        return err;
    }
    (void)memcpy(out->bytes + begin, &head, sizeof(head));
    (void)SHA256(out->bytes + begin, out->count - begin, digest);
    buffer_append(out, digest, sizeof(digest));
    return out->err;
}

/* ------------------------------------------------------------------------- loading */

static bool
is_span_usable(const struct head *head, const struct span *span)
{
    int64_t stride = mem_window_offset(1);
    uint64_t window, in;

    if (span->offset % (int64_t)MEM_PAGE_BYTES != 0 || span->bytes % MEM_PAGE_BYTES != 0 ||
        span->bytes == 0 || span->bytes > MEM_WINDOW_BYTES)
        return false;
    if (span->offset < 0) /* may go on into the first window */
        return (uint64_t)-span->offset <= head->below_bytes &&
               span->bytes <= (uint64_t)-span->offset + head->window_bytes[0];
    window = (uint64_t)(span->offset / stride);
    in = (uint64_t)(span->offset % stride);
    return window < head->window_count && in <= head->window_bytes[window] &&
           span->bytes <= head->window_bytes[window] - in;
}

static bool
are_spans_usable(const struct head *head, const struct span *spans)
{
    int64_t end = INT64_MIN;
    uint64_t bytes = 0;

    for (uint64_t i = 0; i < head->span_count; i++) {
        if (!is_span_usable(head, &spans[i]) || spans[i].offset < end)
            return false;
        end = spans[i].offset + (int64_t)spans[i].bytes;
        bytes += spans[i].bytes;
    }
    return bytes == head->raw_bytes;
}

/* The sizes in a head that say how long the whole is. */
static int
check_head(const struct head *head, size_t count, size_t *whole, struct diag *diag)
{
    if (head->magic != MAGIC)
        return diag_set(diag, -EINVAL, "this is not a snapshot");
    if (head->version != VERSION)
        return diag_set(diag, -EINVAL, "the snapshot is of version %u; this is version %u",
                        head->version, VERSION);
    if (head->window_count == 0 || head->window_count > MEM_WINDOWS_MAX ||
        head->below_bytes > BELOW_MAX || head->below_bytes % MEM_PAGE_BYTES != 0 ||
        head->span_count > SPANS_MAX || head->packed_bytes > count)
        return diag_set(diag, -EINVAL, "the snapshot is damaged: its sizes cannot be");
    for (unsigned i = 0; i < MEM_WINDOWS_MAX; i++)
        if (head->window_bytes[i] > MEM_WINDOW_BYTES || head->window_bytes[i] % MEM_PAGE_BYTES != 0)
            return diag_set(diag, -EINVAL, "the snapshot is damaged: window %u", i);
    *whole = sizeof(*head) + head->span_count * sizeof(struct span) + head->packed_bytes +
             SHA256_DIGEST_LENGTH;
    if (*whole > count)
        return diag_set(diag, -EINVAL, "the snapshot is cut short: %zu of %zu bytes", count,
                        *whole);
    return 0;
}

static int
check(const uint8_t *bytes, size_t count, struct head *head, size_t *whole, struct diag *diag)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    int err;

    if (count < sizeof(*head))
        return diag_set(diag, -EINVAL, "the snapshot is cut short: %zu bytes", count);
    (void)memcpy(head, bytes, sizeof(*head));
    err = check_head(head, count, whole, diag);
    if (err != 0)
        return err;
    (void)SHA256(bytes, *whole - sizeof(digest), digest);
    if (memcmp(digest, bytes + *whole - sizeof(digest), sizeof(digest)) != 0)
        return diag_set(diag, -EINVAL, "the snapshot is damaged: its checksum is another");
    return 0;
}

/* Unpacks into the file, page runs at the places that they have in the slot. */
static int
unpack(const struct head *head, const struct span *spans, const uint8_t *frame,
       const struct mem_file *file)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer in = {frame, head->packed_bytes, 0};
    size_t piece = ZSTD_DStreamOutSize();
    uint8_t *room = malloc(piece);
    int err = context == NULL || room == NULL ? -ENOMEM : 0;

    for (uint64_t i = 0; i < head->span_count && err == 0; i++) {
        uint64_t at = (uint64_t)(spans[i].offset + (int64_t)head->below_bytes);
        uint64_t left = spans[i].bytes;

        while (left > 0 && err == 0) {
            ZSTD_outBuffer out = {room, left < piece ? left : piece, 0};
            size_t more = ZSTD_decompressStream(context, &out, &in);

            if (ZSTD_isError(more) || (out.pos == 0 && in.pos == in.size))
                err = -EINVAL;
            else
                err = mem_file_write(file, room, out.pos, at);
            at += out.pos;
            left -= out.pos;
        }
    }
    free(room);
    (void)ZSTD_freeDCtx(context);
    return err;
}

static int
append_runs(const struct head *head, const struct span *spans, struct mem_file *file,
            struct mem_runs *out)
{
    int err = 0;

    for (uint64_t i = 0; i < head->span_count && err == 0; i++) {
        struct mem_run run = {
            .offset = spans[i].offset,
            .bytes = spans[i].bytes,
            .file = mem_file_get(file),
            .fd = file->fd,
            .file_offset = (uint64_t)(spans[i].offset + (int64_t)head->below_bytes),
        };

        err = mem_runs_append(out, &run);
        if (err != 0)
            mem_file_put(file);
    }
    return err;
}

static int
load(const struct head *head, const struct span *spans, const uint8_t *frame,
     struct mem_snapshot *snapshot)
{
    uint64_t end = 0;
    struct mem_file *file;
    int err = fault_point("mem.load");

    if (err == 0)
        err = mem_file_create(&file);
    if (err != 0)
        return err;
    if (head->span_count > 0)
        end = (uint64_t)(spans[head->span_count - 1].offset + (int64_t)head->below_bytes) +
              spans[head->span_count - 1].bytes;
    err = unpack(head, spans, frame, file);
    if (err == 0)
        err = mem_file_seal(file, end);
    if (err == 0)
        err = append_runs(head, spans, file, &snapshot->runs);
    mem_file_put(file);
    return err;
}

int
mem_snapshot_load(const uint8_t *bytes, size_t count, struct mem_snapshot **out, size_t *used,
                  struct diag *diag)
{
    struct mem_snapshot *snapshot;
    struct span *spans;
    struct head head;
    int err = check(bytes, count, &head, used, diag);

    if (err != 0)
        return err;
    snapshot = mem_snapshot_new(head.below_bytes, head.window_count);
    spans = calloc(head.span_count + 1, sizeof(*spans));
    if (snapshot == NULL || spans == NULL) {
        mem_snapshot_destroy(snapshot);
        free(spans);
        return diag_set(diag, -ENOMEM, "cannot load the snapshot: out of memory");
    }
    (void)memcpy(spans, bytes + sizeof(head), head.span_count * sizeof(*spans));
    (void)memcpy(snapshot->window_bytes, head.window_bytes, sizeof(head.window_bytes));
    snapshot->stored_bytes = head.raw_bytes;
    if (!are_spans_usable(&head, spans))
        err = -EINVAL;
    if (err == 0)
        err = load(&head, spans, bytes + sizeof(head) + head.span_count * sizeof(*spans), snapshot);
    free(spans);
    if (err != 0) {
        mem_snapshot_destroy(snapshot);
        return diag_set(diag, err, "cannot load the snapshot: %s",
                        err == -EINVAL ? "it is damaged" : strerror(-err));
    }
    *out = snapshot;
    return 0;
}
