;; SPDX-License-Identifier: Apache-2.0
;;
;; An exception that leaves a function whose frame was handed on by a tail call:
;; the callee's arguments on the stack take more room, or less, than those that the
;; catching function passed. It finds its frame all the same.
;; wat2wasm: --enable-tail-call --enable-exceptions
;; > call grow I:0000000000000003
;; < init ok
;; < grow ok I:d11c387630c82b5e I:00000000000007d3 I:000000000000000c I:000000000000000f I:0000000000000012 I:0000000000000015 I:0000000000000018 I:000000000000001b I:000000000000001e I:0000000000000021 I:0000000000000024 I:0000000000000027 I:000000000000002a I:000000000000002d I:0000000000000030 I:0000000000000033
;; > call shrink I:0000000000000003
;; < shrink ok I:d11c387630c82b5e I:00000000000003eb I:000000000000000c I:000000000000000f I:0000000000000012 I:0000000000000015 I:0000000000000018 I:000000000000001b I:000000000000001e I:0000000000000021 I:0000000000000024 I:0000000000000027 I:000000000000002a I:000000000000002d I:0000000000000030 I:0000000000000033
;; > call grow_far I:0000000000000003
;; < grow_far ok I:d11c387630c82b5e I:00000000000007d3 I:000000000000000c I:000000000000000f I:0000000000000012 I:0000000000000015 I:0000000000000018 I:000000000000001b I:000000000000001e I:0000000000000021 I:0000000000000024 I:0000000000000027 I:000000000000002a I:000000000000002d I:0000000000000030 I:0000000000000033
;; > call shrink_far I:0000000000000003
;; < shrink_far ok I:d11c387630c82b5e I:00000000000003eb I:000000000000000c I:000000000000000f I:0000000000000012 I:0000000000000015 I:0000000000000018 I:000000000000001b I:000000000000001e I:0000000000000021 I:0000000000000024 I:0000000000000027 I:000000000000002a I:000000000000002d I:0000000000000030 I:0000000000000033
;; > call grow I:fedcba9876543210
;; < grow ok I:b6164163ff5a841e I:fedcba98765439e0 I:fc962fc962fc9633 I:fc962fc962fc9636 I:fc962fc962fc9639 I:fc962fc962fc963c I:fc962fc962fc963f I:fc962fc962fc9642 I:fc962fc962fc9645 I:fc962fc962fc9648 I:fc962fc962fc964b I:fc962fc962fc964e I:fc962fc962fc9651 I:fc962fc962fc9654 I:fc962fc962fc9657 I:fc962fc962fc965a
;; > call shrink I:fedcba9876543210
;; < shrink ok I:b6164163ff5a841e I:fedcba98765435f8 I:fc962fc962fc9633 I:fc962fc962fc9636 I:fc962fc962fc9639 I:fc962fc962fc963c I:fc962fc962fc963f I:fc962fc962fc9642 I:fc962fc962fc9645 I:fc962fc962fc9648 I:fc962fc962fc964b I:fc962fc962fc964e I:fc962fc962fc9651 I:fc962fc962fc9654 I:fc962fc962fc9657 I:fc962fc962fc965a
(module
  (type $one (func (param i64) (result i64)))
  (type $many (func (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
    (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64)))
  (type $user (func (param i64) (result i64 i64 i64 i64 i64 i64 i64 i64)
    (result i64 i64 i64 i64 i64 i64 i64 i64)))
  (tag $thrown (param i64))
  (table 8 funcref)
  (elem (i32.const 0) func $grow $shrink $throw_many $throw_one $same $sum $grow_far $shrink_far)
  (func $same (type $one) (i64.mul (local.get 0) (i64.const 3)))
  (func $sum (type $many)
    (local.get 0)
    (i64.const 31) i64.mul (local.get 1) i64.add
    (i64.const 31) i64.mul (local.get 2) i64.add
    (i64.const 31) i64.mul (local.get 3) i64.add
    (i64.const 31) i64.mul (local.get 4) i64.add
    (i64.const 31) i64.mul (local.get 5) i64.add
    (i64.const 31) i64.mul (local.get 6) i64.add
    (i64.const 31) i64.mul (local.get 7) i64.add
    (i64.const 31) i64.mul (local.get 8) i64.add
    (i64.const 31) i64.mul (local.get 9) i64.add
    (i64.const 31) i64.mul (local.get 10) i64.add
    (i64.const 31) i64.mul (local.get 11) i64.add
    (i64.const 31) i64.mul (local.get 12) i64.add
    (i64.const 31) i64.mul (local.get 13) i64.add
    (i64.const 31) i64.mul (local.get 14) i64.add
    (i64.const 31) i64.mul (local.get 15) i64.add
    (i64.const 31) i64.mul (local.get 16) i64.add
    (i64.const 31) i64.mul (local.get 17) i64.add
    (i64.const 31) i64.mul (local.get 18) i64.add
    (i64.const 31) i64.mul (local.get 19) i64.add)
  (func $throw_one (type $one) (throw $thrown (i64.add (local.get 0) (i64.const 1000))))
  (func $throw_many (type $many) (throw $thrown (i64.add (local.get 19) (i64.const 2000))))
  (func $grow (type $one)
    (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0)
    (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0)
    (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0)
    (local.get 0) (local.get 0)
    (return_call_indirect (type $many) (i32.const 2)))
  (func $shrink (type $many)
    (return_call_indirect (type $one) (local.get 12) (i32.const 3)))
  (func $grow_far (type $one)
    (i64.add (i64.const 1) (call_indirect (type $one) (local.get 0) (i32.const 0))))
  (func $shrink_far (type $many)
    (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
    (local.get 6) (local.get 7) (local.get 8) (local.get 9) (local.get 10) (local.get 11)
    (local.get 12) (local.get 13) (local.get 14) (local.get 15) (local.get 16) (local.get 17)
    (local.get 18) (local.get 19)
    (call_indirect (type $many) (i32.const 1))
    (i64.add (i64.const 1)))
  (func (export "grow") (type $user)
    (local i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (local $caught i64)
    (local.set 1 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 1)) (i32.const 4)))
    (local.set 2 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 2)) (i32.const 4)))
    (local.set 3 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 3)) (i32.const 4)))
    (local.set 4 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 4)) (i32.const 4)))
    (local.set 5 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 5)) (i32.const 4)))
    (local.set 6 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 6)) (i32.const 4)))
    (local.set 7 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 7)) (i32.const 4)))
    (local.set 8 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 8)) (i32.const 4)))
    (local.set 9 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 9)) (i32.const 4)))
    (local.set 10 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 10)) (i32.const 4)))
    (local.set 11 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 11)) (i32.const 4)))
    (local.set 12 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 12)) (i32.const 4)))
    (local.set 13 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 13)) (i32.const 4)))
    (local.set 14 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 14)) (i32.const 4)))
    (try
      (do
        (local.get 0)
        (call_indirect (type $one) (i32.const 0))
        (local.set $caught))
      (catch $thrown (local.set $caught)))
    (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6)
    (local.get 7) (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12)
    (local.get 13) (local.get 14) (local.get 1) (local.get 2) (local.get 3) (local.get 4)
    (local.get 5) (local.get 6)
    (call_indirect (type $many) (i32.const 5))
    (local.get $caught)
    (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6) (local.get 7)
    (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12) (local.get 13) (local.get 14))
  (func (export "shrink") (type $user)
    (local i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (local $caught i64)
    (local.set 1 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 1)) (i32.const 4)))
    (local.set 2 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 2)) (i32.const 4)))
    (local.set 3 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 3)) (i32.const 4)))
    (local.set 4 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 4)) (i32.const 4)))
    (local.set 5 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 5)) (i32.const 4)))
    (local.set 6 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 6)) (i32.const 4)))
    (local.set 7 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 7)) (i32.const 4)))
    (local.set 8 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 8)) (i32.const 4)))
    (local.set 9 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 9)) (i32.const 4)))
    (local.set 10 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 10)) (i32.const 4)))
    (local.set 11 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 11)) (i32.const 4)))
    (local.set 12 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 12)) (i32.const 4)))
    (local.set 13 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 13)) (i32.const 4)))
    (local.set 14 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 14)) (i32.const 4)))
    (try
      (do
        (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0)
        (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0)
        (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0)
        (local.get 0) (local.get 0)
        (call_indirect (type $many) (i32.const 1))
        (local.set $caught))
      (catch $thrown (local.set $caught)))
    (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6)
    (local.get 7) (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12)
    (local.get 13) (local.get 14) (local.get 1) (local.get 2) (local.get 3) (local.get 4)
    (local.get 5) (local.get 6)
    (call_indirect (type $many) (i32.const 5))
    (local.get $caught)
    (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6) (local.get 7)
    (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12) (local.get 13) (local.get 14))
  (func (export "grow_far") (type $user)
    (local i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (local $caught i64)
    (local.set 1 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 1)) (i32.const 4)))
    (local.set 2 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 2)) (i32.const 4)))
    (local.set 3 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 3)) (i32.const 4)))
    (local.set 4 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 4)) (i32.const 4)))
    (local.set 5 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 5)) (i32.const 4)))
    (local.set 6 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 6)) (i32.const 4)))
    (local.set 7 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 7)) (i32.const 4)))
    (local.set 8 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 8)) (i32.const 4)))
    (local.set 9 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 9)) (i32.const 4)))
    (local.set 10 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 10)) (i32.const 4)))
    (local.set 11 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 11)) (i32.const 4)))
    (local.set 12 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 12)) (i32.const 4)))
    (local.set 13 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 13)) (i32.const 4)))
    (local.set 14 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 14)) (i32.const 4)))
    (try
      (do
        (local.get 0)
        (call_indirect (type $one) (i32.const 6))
        (local.set $caught))
      (catch $thrown (local.set $caught)))
    (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6)
    (local.get 7) (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12)
    (local.get 13) (local.get 14) (local.get 1) (local.get 2) (local.get 3) (local.get 4)
    (local.get 5) (local.get 6)
    (call_indirect (type $many) (i32.const 5))
    (local.get $caught)
    (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6) (local.get 7)
    (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12) (local.get 13) (local.get 14))
  (func (export "shrink_far") (type $user)
    (local i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (local $caught i64)
    (local.set 1 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 1)) (i32.const 4)))
    (local.set 2 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 2)) (i32.const 4)))
    (local.set 3 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 3)) (i32.const 4)))
    (local.set 4 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 4)) (i32.const 4)))
    (local.set 5 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 5)) (i32.const 4)))
    (local.set 6 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 6)) (i32.const 4)))
    (local.set 7 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 7)) (i32.const 4)))
    (local.set 8 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 8)) (i32.const 4)))
    (local.set 9 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 9)) (i32.const 4)))
    (local.set 10 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 10)) (i32.const 4)))
    (local.set 11 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 11)) (i32.const 4)))
    (local.set 12 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 12)) (i32.const 4)))
    (local.set 13 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 13)) (i32.const 4)))
    (local.set 14 (call_indirect (type $one) (i64.add (local.get 0) (i64.const 14)) (i32.const 4)))
    (try
      (do
        (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0)
        (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0)
        (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0)
        (local.get 0) (local.get 0)
        (call_indirect (type $many) (i32.const 7))
        (local.set $caught))
      (catch $thrown (local.set $caught)))
    (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6)
    (local.get 7) (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12)
    (local.get 13) (local.get 14) (local.get 1) (local.get 2) (local.get 3) (local.get 4)
    (local.get 5) (local.get 6)
    (call_indirect (type $many) (i32.const 5))
    (local.get $caught)
    (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6) (local.get 7)
    (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12) (local.get 13) (local.get 14)))
