;; SPDX-License-Identifier: Apache-2.0
;;
;; Two instances that call each other, deep, through one table, with results that go
;; through the argument areas of both: what one call left there is not what the next
;; one finds. Also by tail calls to and fro, a million of them, on a stack that does
;; not grow.
;; wat2wasm: --enable-tail-call
;; variants: O0,linked O2,linked O3,linked O3,linked,strict O3,linked,move
;; > call tree i:00000000
;; < init ok
;; < init ok
;; < tree ok i:00000001 I:0000000000000002 F:4008000000000000 I:0000000000000004 I:0000000000000005 i:00000006
;; > call tree i:00000001
;; < tree ok i:fffffff9 I:fffffffffffffff8 F:c018000000000000 I:fffffffffffffff4 I:fffffffffffffff1 i:00000005
;; > call tree i:00000009
;; < tree ok i:000004eb I:fffffffffffffcb8 F:c035f00000000000 I:fffffffffffffe36 I:fffffffffffffe33 i:000001cf
;; > call 1:tree i:00000008
;; < 1:tree ok i:000004bf I:fffffffffffffef1 F:c02e600000000000 I:fffffffffffffe7a I:fffffffffffffe79 i:00000143
;; > call bounce i:000f4240
;; < bounce ok I:00000000000927c2 F:3fe0000000000000 i:00000011
;; > call 1:bounce i:000f4241
;; < 1:bounce ok I:000000000000c352 F:3fd0000000000000 i:00000012
(module
  (type $tree (func (param i32) (result i32 i64 f64 v128 i32)))
  (type $bounce (func
    (param i32 i64 i64 i64 i64 i64 i64 i64 f32 f64)
    (result i64 f64 i32)))
  (table (export "table") 4 funcref)
  (elem (i32.const 0) func $tree $bounce)
  (func $tree (type $tree)
    (local $a i32) (local $b i64) (local $c f64) (local $d v128) (local $e i32)
    (local $f i32) (local $g i64) (local $h f64) (local $i v128) (local $j i32)
    (if (i32.eqz (local.get 0))
      (then (return (i32.const 1) (i64.const 2) (f64.const 3) (v128.const i64x2 4 5) (i32.const 6))))
    (call_indirect (type $tree) (i32.sub (local.get 0) (i32.const 1)) (i32.const 2))
    local.set $e  local.set $d  local.set $c  local.set $b  local.set $a
    (call_indirect (type $tree) (i32.shr_u (local.get 0) (i32.const 1)) (i32.const 2))
    local.set $j  local.set $i  local.set $h  local.set $g  local.set $f
    (i32.add (local.get $a) (local.get $j))
    (i64.add (i64.mul (local.get $b) (i64.const 3)) (local.get $g))
    (f64.add (local.get $c) (local.get $h))
    (i64x2.add (local.get $d) (i64x2.shl (local.get $i) (i32.const 1)))
    (i32.xor (local.get $e) (local.get $f)))
  (func $bounce (type $bounce)
    (if (i32.eqz (local.get 0))
      (then (return (local.get 7) (local.get 9) (i32.trunc_f32_s (local.get 8)))))
    (return_call_indirect (type $bounce)
      (i32.sub (local.get 0) (i32.const 1))
      (local.get 7) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
      (i64.add (local.get 6) (i64.const 1)) (f32.neg (local.get 8)) (local.get 9)
      (i32.const 3)))
  (func (export "tree") (param i32) (result i32 i64 f64 i64 i64 i32)
    (local $last i32) (local $v v128)
    (call $tree (local.get 0))
    local.set $last  local.set $v
    (i64x2.extract_lane 0 (local.get $v))
    (i64x2.extract_lane 1 (local.get $v))
    (local.get $last))
  (func (export "bounce") (param i32) (result i64 f64 i32)
    (call $bounce (local.get 0)
      (i64.const 1) (i64.const 20) (i64.const 300) (i64.const 4000) (i64.const 50000)
      (i64.const 600000) (i64.const 7000000) (f32.const 17) (f64.const 0.5))))
