;; SPDX-License-Identifier: Apache-2.0
;;
;; Functions that take or give a function reference and those with an external one
;; are of different types, also to an indirect call in a module that is linked:
;; there the two were one, and a value of the host's could be called.
;; variants: O0,linked O3,linked O3,linked,move
;; > call own i:00000000 x:5
;; < init ok
;; < init ok
;; < own ok x:5
;; > call own i:00000001 x:5
;; < own trap signature
;; > call own i:00000002 x:5
;; < own trap signature
;; > call 1:theirs i:00000000 x:5
;; < 1:theirs ok x:5
;; > call 1:theirs i:00000001 x:5
;; < 1:theirs trap signature
;; > call 1:theirs i:00000002 x:5
;; < 1:theirs trap signature
;; > call 1:taking i:00000000
;; < 1:taking trap signature
;; > call 1:taking i:00000001
;; < 1:taking ok x:null
(module
  (type $of_function (func (param funcref) (result externref)))
  (type $of_external (func (param externref) (result externref)))
  (type $giving (func (param externref) (result funcref)))
  (table (export "table") 3 funcref)
  (elem (i32.const 0) func $keep $function $external)
  (func $keep (type $of_external) (local.get 0))
  (func $function (type $of_function) (ref.null extern))
  (func $external (type $giving) (ref.null func))
  (func (export "own") (param i32 externref) (result externref)
    (call_indirect (type $of_external) (local.get 1) (local.get 0))))
