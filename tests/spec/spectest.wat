;; SPDX-License-Identifier: Apache-2.0
;;
;; What the specification's tests import as "spectest". Its functions print
;; nothing, but each makes a host call, so that a Faaslet may move there.
(module
  (import "spec-run" "pause" (func $pause))
  (func (export "print") (call $pause))
  (func (export "print_i32") (param i32) (call $pause))
  (func (export "print_i64") (param i64) (call $pause))
  (func (export "print_f32") (param f32) (call $pause))
  (func (export "print_f64") (param f64) (call $pause))
  (func (export "print_i32_f32") (param i32 f32) (call $pause))
  (func (export "print_f64_f64") (param f64 f64) (call $pause))
  (global (export "global_i32") i32 (i32.const 666))
  (global (export "global_i64") i64 (i64.const 666))
  (global (export "global_f32") f32 (f32.const 666.6))
  (global (export "global_f64") f64 (f64.const 666.6))
  (table (export "table") 10 20 funcref)
  (memory (export "memory") 1 2))
