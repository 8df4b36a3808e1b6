/* SPDX-License-Identifier: Apache-2.0
 *
 * For the fuzzer: the parsers of gateway.
 */
#ifndef WEFT_GATEWAY_PARSERS_TESTING_H
#define WEFT_GATEWAY_PARSERS_TESTING_H

#include "gateway/json.h"
#include "gateway/parse.h"

#endif
