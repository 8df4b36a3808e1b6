/* SPDX-License-Identifier: Apache-2.0
 *
 * Guest of bench-objects: examples/serve.c, whose calls stay after they have answered until the
 * value "serve/go" changes, counted in "serve/held": so many Faaslets exist at one time.
 */
#define main serve_main
#include "../examples/serve.c"
#undef main

int
main(void)
{
    struct weft_state_info info;
    uint64_t version;

    if (serve_main() != 0)
        return 1;
    must(weft_state_stat("serve/go", &info), "serve/go");
    must(weft_counter_add("serve/held", 1, NULL), "serve/held");
    must(weft_state_watch("serve/go", info.version, INT64_C(120000000000), &version), "waiting");
    return 0;
}
