/* SPDX-License-Identifier: Apache-2.0
 *
 * weft-compiler: the one program that loads LLVM.
 */
#include "compile/compile.h"

int
main(int argc, char **argv)
{
    return compile_main(argc, argv);
}
