/* SPDX-License-Identifier: Apache-2.0
 *
 * version: of all programs of one build.
 */
#ifndef WEFT_BASE_VERSION_H
#define WEFT_BASE_VERSION_H

#define VERSION_TEXT "0.4"

#endif
