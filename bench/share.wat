;; SPDX-License-Identifier: Apache-2.0
;;
;; Touches pages of a share.
(module
  (import "bench" "map" (func $map (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "map") (param i32) (result i32) (call $map (local.get 0)))
  ;; Reads a word of every page in [at, at + bytes).
  (func (export "touch") (param $at i32) (param $bytes i32) (result i64)
    (local $end i32) (local $sum i64)
    (local.set $end (i32.add (local.get $at) (local.get $bytes)))
    (block $out (loop $again
      (br_if $out (i32.ge_u (local.get $at) (local.get $end)))
      (local.set $sum (i64.add (local.get $sum) (i64.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br $again)))
    (local.get $sum))
  ;; Reads words each of which says where the next one is: all zero, so the same again and again.
  (func (export "read") (param $at i32) (param $count i32) (result i64)
    (loop $again
      (local.set $at (i32.add (local.get $at) (i32.load (local.get $at))))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br_if $again (local.get $count)))
    (i64.extend_i32_u (local.get $at))))
