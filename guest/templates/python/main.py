# SPDX-License-Identifier: CC0-1.0
"""NAME: greets whom it is given as JSON."""
import weft


def handle_json(value):
    name = (value or {}).get("name", "world")
    weft.log(f"greets {name}")
    return {"greeting": f"hello {name}"}
