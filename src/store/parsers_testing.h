/* SPDX-License-Identifier: Apache-2.0
 *
 * For the fuzzer: what reads bytes of others (store_address_parse, s3_page_read).
 */
#ifndef WEFT_STORE_PARSERS_TESTING_H
#define WEFT_STORE_PARSERS_TESTING_H

#include "store/store_internal.h"

#endif
