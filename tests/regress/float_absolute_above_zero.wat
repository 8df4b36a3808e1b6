;; SPDX-License-Identifier: Apache-2.0
;;
;; |x| compared with zero beside another test of x, as f64.max does it: LLVM 19 made
;; x > 0 of |x| > 0, and so zero the larger of zero and a negative number's absolute.
;; variants: O0 O1 O2 O3 O3,strict O3,linked
;; > call max F:c000000000000000
;; < init ok
;; < max ok F:4000000000000000
;; > call max F:4000000000000000
;; < max ok F:4000000000000000
;; > call max F:8000000000000000
;; < max ok F:0000000000000000
;; > call max F:fff8000000000000
;; < max ok F:nan
;; > call max32 f:c0000000
;; < max32 ok f:40000000
;; > call max32 f:ff800000
;; < max32 ok f:7f800000
;; > call chosen F:c000000000000000
;; < chosen ok F:4000000000000000
;; > call chosen F:fff8000000000000
;; < chosen ok F:401c000000000000
;; > call both F:c000000000000000
;; < both ok F:4000000000000000
;; > call both F:4000000000000000
;; < both ok F:4000000000000000
;; > call both F:fff8000000000000
;; < both ok F:0000000000000000
(module
  (func (export "max") (param f64) (result f64)
    (f64.max (f64.const 0) (f64.abs (local.get 0))))
  (func (export "max32") (param f32) (result f32)
    (f32.max (f32.const 0) (f32.abs (local.get 0))))
  (func (export "chosen") (param f64) (result f64)
    (local $y f64)
    (local.set $y (f64.abs (local.get 0)))
    (select
      (f64.const 7)
      (select (local.get $y) (f64.const 0) (f64.gt (local.get $y) (f64.const 0)))
      (f64.ne (local.get 0) (local.get 0))))
  (func (export "both") (param f64) (result f64)
    (local $y f64)
    (local.set $y (f64.abs (local.get 0)))
    (select
      (select (local.get $y) (f64.const 0) (f64.gt (local.get $y) (f64.const 0)))
      (f64.const 0)
      (f64.eq (local.get 0) (local.get 0)))))
