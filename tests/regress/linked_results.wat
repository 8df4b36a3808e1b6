;; SPDX-License-Identifier: Apache-2.0
;;
;; A function of another instance, with several results: all but the first were
;; left in the callee's context and looked for in the caller's. Also by reference,
;; by a tail call in between, and by an imported function that is passed on.
;; wat2wasm: --enable-tail-call
;; variants: O0,linked O3,linked O3,linked,strict O3,linked,move
;; > call 1:direct
;; < init ok
;; < init ok
;; < 1:direct ok i:00000001 I:0000000000000002 f:40400000
;; > call 1:indirect
;; < 1:indirect ok i:00000001 I:0000000000000002 f:40400000
;; > call 1:tail
;; < 1:tail ok i:00000001 I:0000000000000002 f:40400000
;; > call 1:through_tail
;; < 1:through_tail ok I:0000000000000002
;; > call three
;; < three ok i:00000001 I:0000000000000002 f:40400000
(module
  (table (export "table") 1 funcref)
  (elem (i32.const 0) func $three)
  (func $three (export "three") (result i32 i64 f32)
    (i32.const 1) (i64.const 2) (f32.const 3)))
