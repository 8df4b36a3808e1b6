;; SPDX-License-Identifier: Apache-2.0
;;
;; A converted number or zero, chosen by comparing the number with zero: LLVM 19 makes
;; the smaller or larger of the two out of it, whatever sign the zero has.
;; variants: O0 O1 O2 O3 O3,strict O3,linked
;; > call promote f:80000000
;; < init ok
;; < promote ok F:8000000000000000
;; > call promote f:00000000
;; < promote ok F:0000000000000000
;; > call promote f:bf800000
;; < promote ok F:0000000000000000
;; > call promote f:3f800000
;; < promote ok F:3ff0000000000000
;; > call promote f:7fc00000
;; < promote ok F:nan
;; > call demote F:8000000000000000
;; < demote ok f:80000000
;; > call demote F:bff0000000000000
;; < demote ok f:00000000
;; > call demote F:3ff0000000000000
;; < demote ok f:3f800000
;; > call demote F:fff8000000000000
;; < demote ok f:nan
;; > call promote_above f:80000000
;; < promote_above ok F:8000000000000000
;; > call promote_negative f:00000000
;; < promote_negative ok F:0000000000000000
;; > call promote_negative f:80000000
;; < promote_negative ok F:8000000000000000
;; > call demote_negative F:0000000000000000
;; < demote_negative ok f:00000000
;; > call promote_branch f:80000000
;; < promote_branch ok F:8000000000000000
;; > call demote_branch F:8000000000000000
;; < demote_branch ok f:80000000
(module
  (func (export "promote") (param f32) (result f64)
    (select (f64.const 0) (f64.promote_f32 (local.get 0)) (f32.lt (local.get 0) (f32.const 0))))
  (func (export "demote") (param f64) (result f32)
    (select (f32.const 0) (f32.demote_f64 (local.get 0)) (f64.lt (local.get 0) (f64.const 0))))
  (func (export "promote_above") (param f32) (result f64)
    (select (f64.const 0) (f64.promote_f32 (local.get 0)) (f32.gt (local.get 0) (f32.const 0))))
  (func (export "promote_negative") (param f32) (result f64)
    (select (f64.const -0) (f64.promote_f32 (local.get 0)) (f32.lt (local.get 0) (f32.const -0))))
  (func (export "demote_negative") (param f64) (result f32)
    (select (f32.const -0) (f32.demote_f64 (local.get 0)) (f64.gt (local.get 0) (f64.const -0))))
  (func (export "promote_branch") (param f32) (result f64)
    (if (result f64) (f32.lt (local.get 0) (f32.const 0))
      (then (f64.const 0))
      (else (f64.promote_f32 (local.get 0)))))
  (func (export "demote_branch") (param f64) (result f32)
    (if (result f32) (f64.lt (local.get 0) (f64.const 0))
      (then (f32.const 0))
      (else (f32.demote_f64 (local.get 0))))))
