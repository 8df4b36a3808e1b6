;; SPDX-License-Identifier: Apache-2.0
;;
;; Threads for the tests of weft run. _start makes four that wait, comes to a snapshot point, lets
;; them go and exits with 5; with 3 where it cannot have them.
(module
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "weft" "snapshot" (func $snapshot (result i32)))
  (memory (export "memory") 2 4 shared)
  ;; 64: sum, 68: how many are over, 72: gate. Argument: kind, and 256 times a number.
  (func $await (param $at i32) (param $value i32) (local $now i32)
    (loop $more
      (local.set $now (i32.atomic.load (local.get $at)))
      (if (i32.ne (local.get $now) (local.get $value)) (then
        (drop (memory.atomic.wait32 (local.get $at) (local.get $now) (i64.const -1)))
        (br $more)))))
  (func $over
    (drop (i32.atomic.rmw.add (i32.const 68) (i32.const 1)))
    (drop (memory.atomic.notify (i32.const 68) (i32.const -1))))
  (func $poke unreachable)
  (func (export "wasi_thread_start") (param $id i32) (param $argument i32)
    (block $hang (block $spin (block $exits (block $trap (block $gate (block $add
      (br_table $add $gate $trap $exits $spin $hang
        (i32.and (local.get $argument) (i32.const 255))))
      (drop (i32.atomic.rmw.add (i32.const 64)
        (i32.shr_u (local.get $argument) (i32.const 8))))
      (call $over) (return))
      (call $await (i32.const 72) (i32.const 1)) (call $over) (return))
      (call $poke) (return))
      (call $exit (i32.const 7)))
      (loop $ever (br $ever)))
    (call $await (i32.const 76) (i32.const 1)))
  ;; 0, or what was said instead of a thread's number.
  (func $make (param $kind i32) (param $n i32) (result i32) (local $i i32) (local $id i32)
    (loop $more
      (if (i32.eq (local.get $i) (local.get $n)) (then (return (i32.const 0))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $id (call $spawn
        (i32.add (local.get $kind) (i32.shl (local.get $i) (i32.const 8)))))
      (br_if $more (i32.gt_s (local.get $id) (i32.const 0))))
    (local.get $id))
  (func (export "sum") (param $n i32) (result i32)
    (drop (call $make (i32.const 0) (local.get $n)))
    (call $await (i32.const 68) (local.get $n))
    (i32.load (i32.const 64)))
  (func $open (param $n i32)
    (i32.atomic.store (i32.const 72) (i32.const 1))
    (drop (memory.atomic.notify (i32.const 72) (i32.const -1)))
    (call $await (i32.const 68) (local.get $n)))
  (func (export "gate") (param $n i32) (result i32) (local $err i32)
    (local.set $err (call $make (i32.const 1) (local.get $n)))
    (if (local.get $err) (then (return (local.get $err))))
    (call $open (local.get $n))
    (i32.load (i32.const 68)))
  (func $with (param $kind i32)
    (drop (call $make (local.get $kind) (i32.const 1)))
    (call $await (i32.const 80) (i32.const 1)))
  (func (export "trap") (call $with (i32.const 2)))
  (func (export "exit") (call $with (i32.const 3)))
  (func (export "spin") (call $with (i32.const 4)))
  (func (export "hang") (call $with (i32.const 5)))
  (func (export "_start")
    (if (call $make (i32.const 1) (i32.const 4)) (then (call $exit (i32.const 3))))
    (drop (call $snapshot))
    (call $open (i32.const 4))
    (call $exit (i32.const 5))))
