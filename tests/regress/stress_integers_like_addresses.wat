;; SPDX-License-Identifier: Apache-2.0
;;
;; Integers that look like addresses in a slot of the stress mode: the range that it
;; takes places from, in steps of 4 GiB. Reserved for 64 memories, one slot covered
;; a quarter of the range, and the checker took an integer for an address.
;; variants: O0,linked,move O3,linked,move
;; > call count
;; < init ok
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < import twist i:00000001
;; < count ok I:a3921c0000000000
(module
  (import "fuzz" "twist" (func $twist (param i32) (result i32)))
  (func (export "count") (result i64)
    (local $high i64) (local $sum i64)
    (local.set $high (i64.const 0x6b00_0000_0000))
    (loop $again
      (local.set $sum
        (i64.add (local.get $sum)
          (i64.mul (local.get $high) (i64.extend_i32_u (call $twist (i32.const 1))))))
      (local.set $high (i64.add (local.get $high) (i64.const 0x8_0000_0000)))
      (br_if $again (i64.lt_u (local.get $high) (i64.const 0x6d00_0000_0000))))
    (local.get $sum)))
