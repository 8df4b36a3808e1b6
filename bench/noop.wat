;; SPDX-License-Identifier: Apache-2.0
;; _initialize fills "size" pages of 64 KiB; noop touches a few words and returns.
(module
  (import "bench" "size" (func $size (result i32)))
  (import "bench" "wait" (func $wait))
  (import "bench" "pong" (func $pong (param i64)))
  (memory (export "memory") 1 4096)
  (func (export "_initialize") (local $at i32) (local $end i32)
    (drop (memory.grow (call $size)))
    (local.set $end (i32.shl (memory.size) (i32.const 16)))
    (loop $fill
      (i32.store (local.get $at) (i32.add (local.get $at) (i32.const 1)))
      (br_if $fill (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 64)))
        (local.get $end)))))
  (func (export "noop") (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.add (i64.load (i32.const 8)) (i64.const 1)))
  (func (export "dirty") (param i64) (result i64) (local $n i64)
    (loop $next
      (i64.store (i32.wrap_i64 (i64.shl (local.get $n) (i64.const 12))) (local.get $n))
      (br_if $next (i64.lt_u (local.tee $n (i64.add (local.get $n) (i64.const 1)))
        (local.get 0))))
    (local.get $n))
  (func (export "sleep") (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.store (i32.const 9000) (local.get 0))
    (call $wait)
    (i64.add (i64.load (i32.const 8)) (i64.load (i32.const 9000))))
  (func (export "pong") (param i64 i64) (result i64)
    (loop $next
      (call $pong (local.get 0))
      (br_if $next (i64.ne (i64.const 0)
        (local.tee 1 (i64.sub (local.get 1) (i64.const 1))))))
    (local.get 0)))
