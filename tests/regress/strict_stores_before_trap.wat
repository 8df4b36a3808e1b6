;; SPDX-License-Identifier: Apache-2.0
;;
;; With strict traps a store is there after a trap, even if another store to the
;; same place would have followed.
;; variants: O0,strict O2,strict O3,strict O3,linked,strict
;; > call global i:ffffffff
;; < init ok
;; < global trap memory
;; > call table i:ffffffff
;; < table trap memory
;; > call is_set
;; < is_set ok i:00000001
;; < global state i:00000001
(module
  (memory 1)
  (table $t 1 funcref)
  (elem declare func $is_set)
  (global $state (export "state") (mut i32) (i32.const 0))
  (func (export "global") (param i32)
    (global.set $state (i32.const 1))
    (global.set $state (i32.load (local.get 0))))
  (func (export "table") (param i32)
    (table.set $t (i32.const 0) (ref.func $is_set))
    (drop (i32.load (local.get 0)))
    (table.set $t (i32.const 0) (ref.null func)))
  (func $is_set (export "is_set") (result i32)
    (i32.eqz (ref.is_null (table.get $t (i32.const 0))))))
