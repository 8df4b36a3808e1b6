;; SPDX-License-Identifier: Apache-2.0
;;
;; An atomic operation whose result is only tested or compared becomes a bit test
;; or flags in LLVM's x86 backend, which forgot the guest's segment: the guest's
;; offset was an address of the host.
;; wat2wasm: --enable-threads
;; > call set
;; < init ok
;; < set ok i:00000000
;; > call set
;; < set ok i:00000001
;; > call clear
;; < clear ok i:00000001
;; > call flip i:00000007
;; < flip ok i:00000000
;; > call flip i:00000007
;; < flip ok i:00000080
;; > call count_down
;; < count_down ok i:00000000
;; > call count_down
;; < count_down ok i:00000001
;; > call or_is_zero i:00000000
;; < or_is_zero ok i:00000001
;; > call or_is_zero i:80000000
;; < or_is_zero ok i:00000002
(module
  (memory 1)
  (data (i32.const 16) "\02\00\00\00")
  (func (export "set") (result i32)
    (i32.shr_u (i32.and (i32.atomic.rmw16.or_u (i32.const 6234) (i32.const 16)) (i32.const 16))
               (i32.const 4)))
  (func (export "clear") (result i32)
    (i32.ne (i32.const 0)
            (i32.and (i32.atomic.rmw.and (i32.const 6232) (i32.const 0xffefffff))
                     (i32.const 0x100000))))
  (func (export "flip") (param i32) (result i32)
    (local $bit i32)
    (local.set $bit (i32.shl (i32.const 1) (local.get 0)))
    (i32.and (i32.atomic.rmw.xor (i32.const 64) (local.get $bit)) (local.get $bit)))
  (func (export "count_down") (result i32)
    (if (result i32) (i32.eq (i32.atomic.rmw.sub (i32.const 16) (i32.const 1)) (i32.const 1))
      (then (i32.const 1))
      (else (i32.const 0))))
  (func (export "or_is_zero") (param i32) (result i32)
    (local $new i32)
    (local.set $new
      (i32.or (i32.atomic.rmw.or (i32.const 32) (local.get 0)) (local.get 0)))
    (if (i32.eqz (local.get $new)) (then (return (i32.const 1))))
    (if (i32.lt_s (local.get $new) (i32.const 0)) (then (return (i32.const 2))))
    (i32.const 3)))
