;; SPDX-License-Identifier: Apache-2.0
;;
;; The rest of "spectest": a module has one memory, so this one is by itself.
(module
  (memory (export "shared_memory") 1 2 shared))
