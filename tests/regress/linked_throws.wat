;; SPDX-License-Identifier: Apache-2.0
;;
;; Exceptions from one instance to another and back: with as much payload as there may
;; be, past functions with more parameters than registers, through frames that do not
;; know the tag, and thrown again after another was caught in between.
;; wat2wasm: --enable-exceptions
;; variants: O0,linked O2,linked O3,linked O3,linked,strict O3,linked,move
;; > call 1:direct I:0123456789abcdef x:3
;; < init ok
;; < init ok
;; < 1:direct ok I:a7fa2334952534a5 I:579be02468acf0e3
;; > call 1:direct I:8000000000000001 x:null
;; < 1:direct ok I:e4fb24455845f275 I:800000000000004d
;; > call 1:through_table I:0123456789abcdef x:3
;; < 1:through_table ok I:a7fa2334952534a5 I:58bf258bf258bed2
;; > call 1:round_trip i:00000000 x:3
;; < 1:round_trip ok I:0000000000000064 I:000000000000012e
;; > call 1:round_trip i:00000001 x:3
;; < 1:round_trip ok I:00000000000003e8 I:00000000000007d0
;; > call 1:round_trip i:00000002 x:4
;; < 1:round_trip ok I:215800be0c2c183d I:000000000000000e
;; > call 1:round_trip i:00000003 x:3
;; < 1:round_trip ok I:0000000000000005 I:0000000000000006
;; > call 1:again I:0123456789abcdef x:3
;; < 1:again ok I:a7fa2334952534a5 I:000000000000000f
;; > call 1:delegated I:0123456789abcdef x:3
;; < 1:delegated ok I:a7fa2334952534a5 I:0000000000000010
;; > call 1:uncaught i:00000000 x:3
;; < 1:uncaught trap exception
;; > call theirs i:00000000 x:3
;; < theirs ok I:000000000000000c I:000000000000000d
;; > call theirs i:00000001 x:3
;; < theirs ok I:00000000000003e8 I:00000000000007d0
;; > call theirs i:00000002 x:3
;; < theirs ok I:215800be0c2c183d I:000000000000000b
;; > call theirs i:00000003 x:null
;; < theirs ok I:0000000000000005 I:0000000000000006
;; < global seen i:00000005
(module
  (type $wide (func (param i32 i64 f32 f64 v128 externref v128 i64 v128 i32 i64)))
  (type $fold (func (param i32 i64 f32 f64 v128 externref v128 i64 v128 i32 i64) (result i64)))
  (type $many (func
    (param i64 i64 i64 i64 i64 i64 i64 i64 v128)
    (param f64 f64 f64 f64 f64 f64 f64 f64 v128 f64 f32 i32 externref)
    (result i64 v128)))
  (type $choose (func (param i32 externref) (result i64 i64)))
  (table (export "table") 4 funcref)
  (elem (i32.const 0) func $throw_many $relay)
  (export "throw_many" (func $throw_many))
  (tag $wide (export "wide") (type $wide))
  (tag $small (export "small") (param i64 i32))
  (global $seen (export "seen") (mut i32) (i32.const 0))
  (func $throw_many (type $many)
    (throw $wide
      (local.get 20) (local.get 7) (local.get 19) (local.get 18) (local.get 8) (local.get 21)
      (local.get 17) (local.get 0) (v128.not (local.get 8)) (i32.const -7) (i64.add (local.get 5) (local.get 6))))
  (func $fold (type $fold)
    (i64.const 1)
    (i64.const 9) i64.rotl (i64.extend_i32_u (local.get 0)) i64.add
    (i64.const 9) i64.rotl (local.get 1) i64.add
    (i64.const 9) i64.rotl (i64.extend_i32_u (i32.reinterpret_f32 (local.get 2))) i64.add
    (i64.const 9) i64.rotl (i64.reinterpret_f64 (local.get 3)) i64.add
    (i64.const 9) i64.rotl (i64.xor (i64x2.extract_lane 0 (local.get 4)) (i64.rotl (i64x2.extract_lane 1 (local.get 4)) (i64.const 13))) i64.add
    (i64.const 9) i64.rotl (i64.extend_i32_u (ref.is_null (local.get 5))) i64.add
    (i64.const 9) i64.rotl (i64.xor (i64x2.extract_lane 0 (local.get 6)) (i64.rotl (i64x2.extract_lane 1 (local.get 6)) (i64.const 13))) i64.add
    (i64.const 9) i64.rotl (local.get 7) i64.add
    (i64.const 9) i64.rotl (i64.xor (i64x2.extract_lane 0 (local.get 8)) (i64.rotl (i64x2.extract_lane 1 (local.get 8)) (i64.const 13))) i64.add
    (i64.const 9) i64.rotl (i64.extend_i32_u (local.get 9)) i64.add
    (i64.const 9) i64.rotl (local.get 10) i64.add)
  (func $relay (type $choose)
    (try (result i64 i64)
      (do (call_indirect (type $choose) (local.get 0) (local.get 1) (i32.const 2)))
      (catch_all
        (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
        (rethrow 0))))
  (func (export "theirs") (type $choose)
    (try (result i64 i64)
      (do (call_indirect (type $choose) (local.get 0) (local.get 1) (i32.const 2)))
      (catch $wide (call $fold) (i64.const 11))
      (catch $small (i64.extend_i32_u))
      (catch_all (i64.const 12) (i64.const 13)))))
