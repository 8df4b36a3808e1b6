# SPDX-License-Identifier: Apache-2.0
#
#     weft deploy examples/hello.py
#     weft invoke hello --input weft
#
# A handler gets the input as bytes; what it returns is the result.


def handler(data):
    return f"hello {data.decode() or 'world'}"
