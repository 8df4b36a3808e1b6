;; SPDX-License-Identifier: Apache-2.0
;;
;; A script of which spec-run must pass the first 2 commands and fail all others:
;; make spec-self.
(module $A
  (func (export "same") (param i32) (result i32) (local.get 0))
  (func (export "nan") (result f32) (f32.const nan:0x600000))
  (func (export "unreachable") unreachable)
  (func (export "vector") (result v128) (v128.const i32x4 1 2 3 4))
  (func (export "null") (result externref) (ref.null extern))
  (func (export "nothing"))
  (func (export "divide") (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
  (global (export "global") i32 (i32.const 7)))
(register "A" $A)

;; Values.
(assert_return (invoke "same" (i32.const 1)) (i32.const 2))
(assert_return (invoke "nan") (f32.const nan:canonical))
(assert_return (invoke "vector") (v128.const i32x4 1 2 3 5))
(assert_return (invoke "null") (ref.extern 1))
(assert_return (get "global") (i32.const 8))
(assert_return (invoke "unreachable"))
(invoke "divide" (i32.const 0))

;; Traps.
(assert_trap (invoke "same" (i32.const 1)) "unreachable")
(assert_trap (invoke "divide" (i32.const 0)) "unreachable")
(assert_trap (invoke "unreachable") "integer divide by zero")
(assert_exhaustion (invoke "nothing") "call stack exhausted")
(assert_exhaustion (invoke "unreachable") "call stack exhausted")

;; Modules.
(assert_invalid (module (func)) "type mismatch")
(assert_malformed (module binary "\00asm\01\00\00\00") "unexpected end")
(assert_malformed (module binary "\00asm\01\00\00\00\08\01\00") "unexpected end")
(assert_malformed (module quote "(func)") "unexpected token")
(assert_unlinkable (module (import "spectest" "print" (func))) "unknown import")
(assert_trap (module (func $start) (start $start)) "unreachable")
(assert_trap (module (func $start unreachable) (start $start)) "integer divide by zero")
(module
  (import "A" "missing" (func))
  (func (export "same") (param i32) (result i32) (local.get 0)))
(assert_return (invoke "same" (i32.const 1)) (i32.const 1))
