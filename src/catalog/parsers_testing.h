/* SPDX-License-Identifier: Apache-2.0
 *
 * For the fuzzer: the parsers of catalog.
 */
#ifndef WEFT_CATALOG_PARSERS_TESTING_H
#define WEFT_CATALOG_PARSERS_TESTING_H

#include "catalog/catalog_internal.h"

#endif
