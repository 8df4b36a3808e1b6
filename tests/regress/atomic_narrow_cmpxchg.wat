;; SPDX-License-Identifier: Apache-2.0
;;
;; A narrow compare-and-exchange compares the lower bits of the expected value:
;; its higher ones do not matter.
;; wat2wasm: --enable-threads
;; > call exchange i:22221111
;; < init ok
;; < exchange ok i:00001111
;; > call word
;; < word ok i:1111cdcd
;; > call exchange8 I:ffffffffffffffcd
;; < exchange8 ok I:00000000000000cd
;; > call word
;; < word ok i:1111cd42
(module
  (memory 1 1 shared)
  (data (i32.const 8) "\11\11\11\11")
  (func (export "exchange") (param i32) (result i32)
    (i32.atomic.rmw16.cmpxchg_u (i32.const 8) (local.get 0) (i32.const 0xcdcdcdcd)))
  (func (export "exchange8") (param i64) (result i64)
    (i64.atomic.rmw8.cmpxchg_u (i32.const 8) (local.get 0) (i64.const 0x4242)))
  (func (export "word") (result i32)
    (i32.load (i32.const 8))))
