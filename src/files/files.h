/* SPDX-License-Identifier: Apache-2.0
 *
 * files: the guest's file system.
 *
 * (This door is written together with the room's bodies; what is fixed:)
 * - A table of descriptors without pointers, so that a record of it is plain
 *   data (law 3); every descriptor remembers the path it was opened by.
 * - Path resolution never leaves its directory: openat2 RESOLVE_BENEATH where
 *   the kernel has it, symlink races included.
 */
#ifndef WEFT_FILES_H
#define WEFT_FILES_H

#endif
