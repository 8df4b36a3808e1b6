;; SPDX-License-Identifier: Apache-2.0
;; _initialize fills 1 MiB; noop touches a few words and returns. No imports, so that
;; a cell of its own can run it.
(module
  (memory (export "memory") 16 4096)
  (func (export "_initialize") (local $at i32)
    (loop $fill
      (i32.store (local.get $at) (i32.add (local.get $at) (i32.const 1)))
      (br_if $fill (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 64)))
        (i32.const 0x100000)))))
  (func (export "noop") (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.add (i64.load (i32.const 8)) (i64.const 1))))
