;; SPDX-License-Identifier: Apache-2.0
;;
;; With strict traps an atomic access out of bounds traps, even if it changes
;; nothing and nobody looks at what it gives.
;; wat2wasm: --enable-threads
;; variants: O0,strict O2,strict O3,strict O3,linked,strict
;; > call add_nothing i:0000fffc
;; < init ok
;; < add_nothing ok
;; > call add_nothing i:00010000
;; < add_nothing trap memory
;; > call exchange_nothing i:00010000
;; < exchange_nothing trap memory
;; > call load i:00010000
;; < load trap memory
(module
  (memory 1)
  (func (export "add_nothing") (param i32)
    (drop (i32.shl (i32.const 0) (i32.atomic.rmw.add (local.get 0) (i32.const 0)))))
  (func (export "exchange_nothing") (param i32)
    (drop (i32.shl (i32.const 0)
      (i32.atomic.rmw.cmpxchg (local.get 0) (i32.const 0) (i32.const 0)))))
  (func (export "load") (param i32)
    (drop (i32.shl (i32.const 0) (i32.atomic.load (local.get 0))))))
