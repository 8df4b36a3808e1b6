/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to faaslet: linking.
 */
#ifndef WEFT_FAASLET_LINK_H
#define WEFT_FAASLET_LINK_H

#include "faaslet/faaslet_internal.h"

/* Up to here copying is cheaper than mapping. */
#define LINK_COPY_BYTES_MAX (48u << 10)

struct link_import {
    const char *module, *name; /* not terminated */
    uint32_t module_bytes, name_bytes;
    uint32_t kind, index;
};

struct link_import link_import_at(const struct abi_image *image, uint32_t index);

/* -ENOENT with "import MODULE.NAME (KIND) of type ... WHY". letters may be NULL. */
int link_refuse(const struct link_import *import, const char *letters, const char *why,
                struct diag *diag);

/* Asks the resolver for an imported function. */
int link_host_function(const struct abi_image *image, const struct link_import *import,
                       faaslet_resolve_fn resolve, faaslet_host_fn *out, struct diag *diag);

/* An instance with empty lists; borrows the image until references are given. */
struct instance *instance_create(struct faaslet_image *image);

/* Fills what does not depend on other instances into a zeroed context. */
void link_fill_context(const struct instance *instance, uint8_t *base);
void link_fill_memory(const struct instance *instance, uint8_t *base);

#endif
