/* SPDX-License-Identifier: Apache-2.0
 *
 * Guests for tests of workers with real cells.
 */
#ifndef WEFT_TESTS_WORKER_GUESTS_H
#define WEFT_TESTS_WORKER_GUESTS_H

#include "../testing.h"

/* Of 64 KiB. A large one that is dirty all over is more than a reset copies back. */
#define GUEST_PAGES       16u
#define GUEST_PAGES_LARGE 320u

/* Word i of what _initialize leaves is this. */
#define GUEST_PATTERN "(i64.mul (i64.extend_i32_u (local.get $at)) (i64.const 0x9e3779b97f4a7c15))"

/*   add     a + b
 *   leave   exits with its argument
 *   spin    for ever
 *   count   draws so many random numbers, which no compiler can do in one step
 *   hog     takes memory and writes to it until there is no more, then for ever again
 *   trap    unreachable
 *   peek    what is at an address; grow the same after it grew its memory and wrote there
 *   copy    standard input to standard output
 *   open    the result of opening the file NAME below the first directory
 *   check   how many words are not its Proto-Faaslet's; leaves a mess, see below */
static const char guest_format[] =
    "(module\n"
    "(import \"wasi_snapshot_preview1\" \"fd_write\"\n"
    "  (func $write (param i32 i32 i32 i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"fd_read\"\n"
    "  (func $read (param i32 i32 i32 i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"poll_oneoff\"\n"
    "  (func $poll (param i32 i32 i32 i32) (result i32)))\n"
    "(import \"wasi_snapshot_preview1\" \"path_open\"\n"
    "  (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))\n"
    "(memory (export \"memory\") %u 4096)\n"
    "(global $mark (mut i64) (i64.const 7))\n"
    "(table $table 4 funcref) (elem (i32.const 0) $nothing)\n"
    "(func $nothing)\n"
    "(data $path \"../../../../../../../../../../../../../../..\")\n"
    /* Fills memory with the pattern. */
    "(func (export \"_initialize\") (local $at i32)\n"
    "  (local.set $at (i32.const 1024))\n"
    "  (loop $next (i64.store (local.get $at) " GUEST_PATTERN ")\n"
    "    (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8)))\n"
    "      (i32.const 0x100000)))))\n"
    "(func (export \"add\") (param i64 i64) (result i64) (i64.add (local.get 0) (local.get 1)))\n"
    "(func (export \"noop\"))\n"
    "(func (export \"leave\") (param i64) (call $exit (i32.wrap_i64 (local.get 0))))\n"
    "(func (export \"_start\") (call $exit (i32.const 3)))\n"
    "(func (export \"spin\") (loop (br 0)))\n"
    "(func (export \"count\") (param $n i64) (result i64)\n"
    "  (global.set $seed (local.get $n))\n"
    "  (loop $next (drop (call $random))\n"
    "    (br_if $next (i64.ne (i64.const 0)\n"
    "      (local.tee $n (i64.sub (local.get $n) (i64.const 1))))))\n"
    "  (global.get $seed))\n"
    "(func (export \"hog\") (local $at i32)\n"
    "  (loop $again\n"
    "    (drop (memory.grow (i32.const 16)))\n"
    "    (local.set $at (i32.const 0))\n"
    "    (loop $next\n"
    "      (i64.store (local.get $at) (i64.add (i64.const 1) (i64.load (local.get $at))))\n"
    "      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4096)))\n"
    "        (i32.mul (memory.size) (i32.const 65536)))))\n"
    "    (br $again)))\n"
    "(func (export \"grow\") (param i64) (result i64)\n"
    "  (drop (memory.grow (i32.const 1)))\n"
    "  (i64.store (i32.wrap_i64 (local.get 0)) (i64.const 5))\n"
    "  (i64.load (i32.wrap_i64 (local.get 0))))\n"
    "(func (export \"peek\") (param i64) (result i64) (i64.load (i32.wrap_i64 (local.get 0))))\n"
    "(func $deep (export \"trap\") (unreachable))\n"
    "(func (export \"copy\")\n"
    "  (loop $more\n"
    "    (i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 256))\n"
    "    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))\n"
    "    (i32.store (i32.const 4) (i32.load (i32.const 8)))\n"
    "    (if (i32.load (i32.const 8)) (then\n"
    "      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))\n"
    "      (br $more)))))\n"
    /* Reads a name from standard input, opens it below descriptor 3. */
    "(func (export \"open\") (result i64)\n"
    "  (i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 4096))\n"
    "  (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))\n"
    "  (i64.extend_i32_u (call $open (i32.const 3) (i32.const 1) (i32.const 4096)\n"
    "    (i32.load (i32.const 8)) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0)\n"
    "    (i32.const 16))))\n"
    /* ---- check: xorshift; words that differ; a nap; a sum */
    "(global $seed (mut i64) (i64.const 0))\n"
    "(func $random (result i64)\n"
    "  (global.set $seed (i64.xor (global.get $seed) (i64.shl (global.get $seed) (i64.const "
    "13))))\n"
    "  (global.set $seed (i64.xor (global.get $seed)\n"
    "    (i64.shr_u (global.get $seed) (i64.const 7))))\n"
    "  (global.set $seed (i64.xor (global.get $seed) (i64.shl (global.get $seed) (i64.const "
    "17))))\n"
    "  (global.get $seed))\n"
    "(func $zeros (param $at i32) (param $end i32) (result i64) (local $bad i64)\n"
    "  (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i64.const 0))))\n"
    "  (loop $next\n"
    "    (local.set $bad (i64.add (local.get $bad)\n"
    "      (i64.extend_i32_u (i64.ne (i64.const 0) (i64.load (local.get $at))))))\n"
    "    (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8)))\n"
    "      (local.get $end))))\n"
    "  (local.get $bad))\n"
    "(func $pattern (result i64) (local $at i32) (local $bad i64)\n"
    "  (local.set $at (i32.const 1024))\n"
    "  (loop $next\n"
    "    (local.set $bad (i64.add (local.get $bad)\n"
    "      (i64.extend_i32_u (i64.ne " GUEST_PATTERN " (i64.load (local.get $at))))))\n"
    "    (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8)))\n"
    "      (i32.const 0x100000))))\n"
    "  (local.get $bad))\n"
    "(func $sum (result i64) (local $at i32) (local $sum i64)\n"
    "  (local.set $at (i32.const 1024))\n"
    "  (loop $next\n"
    "    (local.set $sum (i64.add (i64.rotl (local.get $sum) (i64.const 5))\n"
    "      (i64.load (local.get $at))))\n"
    "    (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8)))\n"
    "      (i32.mul (memory.size) (i32.const 65536)))))\n"
    "  (local.get $sum))\n"
    /* A tenth of a millisecond, so that the Faaslet waits and may be parked. */
    "(func $nap\n"
    "  (i64.store (i32.const 24) (i64.const 100000))\n"
    "  (i32.store (i32.const 16) (i32.const 1))\n"
    "  (drop (call $poll (i32.const 0) (i32.const 128) (i32.const 1) (i32.const 256))))\n"
    "(func $mess (local $left i64) (local $bytes i32)\n"
    "  (local.set $bytes (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1024)))\n"
    "  (local.set $left (i64.add (i64.const 1) (i64.and (call $random) (i64.const 255))))\n"
    "  (loop $next\n"
    "    (i64.store (i32.add (i32.const 1024) (i32.and (i32.const -8) (i32.rem_u\n"
    "      (i32.wrap_i64 (call $random)) (local.get $bytes)))) (call $random))\n"
    "    (br_if $next (i64.ne (i64.const 0)\n"
    "      (local.tee $left (i64.sub (local.get $left) (i64.const 1))))))\n"
    "  (if (i64.eqz (i64.and (call $random) (i64.const 3))) (then\n"
    "    (memory.fill (i32.const 1024) (i32.wrap_i64 (call $random)) (local.get $bytes)))))\n"
    "(func (export \"check\") (param $seed i64) (result i64) (local $bad i64) (local $sum i64)\n"
    "  (local $pages i32)\n"
    "  (global.set $seed (local.get $seed))\n"
    "  (local.set $bad (i64.add (call $pattern) (call $zeros (i32.const 0) (i32.const 1024))))\n"
    "  (if (i64.ne (global.get $mark) (i64.const 7)) (then\n"
    "    (local.set $bad (i64.add (local.get $bad) (i64.const 1)))))\n"
    "  (if (i32.ne (memory.size) (i32.const %u)) (then\n"
    "    (local.set $bad (i64.add (local.get $bad) (i64.const 1)))))\n"
    "  (if (i32.ne (table.size $table) (i32.const 4)) (then\n"
    "    (local.set $bad (i64.add (local.get $bad) (i64.const 1)))))\n"
    "  (if (i32.eqz (ref.is_null (table.get $table (i32.const 1)))) (then\n"
    "    (local.set $bad (i64.add (local.get $bad) (i64.const 1)))))\n"
    "  (global.set $mark (call $random))\n"
    "  (table.set $table (i32.const 1) (ref.func $nothing))\n"
    "  (local.set $pages (i32.wrap_i64 (i64.and (call $random) (i64.const 31))))\n"
    "  (drop (memory.grow (local.get $pages)))\n"
    "  (local.set $bad (i64.add (local.get $bad) (call $zeros (i32.const 0x100000)\n"
    "    (i32.mul (memory.size) (i32.const 65536)))))\n"
    "  (call $mess)\n"
    "  (local.set $sum (call $sum))\n"
    "  (if (i64.eqz (i64.and (call $random) (i64.const 1))) (then (call $nap)))\n"
    "  (if (i64.ne (local.get $sum) (call $sum)) (then\n"
    "    (local.set $bad (i64.add (local.get $bad) (i64.const 1)))))\n"
    "  (local.get $bad))\n"
    ")\n";

/* Its image. */
static inline int
guest_image(unsigned pages)
{
    char *text = NULL;
    int fd;

    assert_true(asprintf(&text, guest_format, pages, pages) > 0);
    fd = testing_compile(text, ABI_STANDALONE, 2);
    free(text);
    return fd;
}

#endif
