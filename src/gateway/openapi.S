/* SPDX-License-Identifier: Apache-2.0
 *
 * docs/openapi.json, as it is.
 */
    .section .rodata
    .globl gateway_openapi_begin
    .globl gateway_openapi_end
gateway_openapi_begin:
    .incbin "docs/openapi.json"
gateway_openapi_end:
    .section .note.GNU-stack,"",@progbits
