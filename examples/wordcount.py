# SPDX-License-Identifier: Apache-2.0
#
# The words of its input, most frequent first, as JSON.
#
#     weft deploy examples/wordcount.py
#     weft invoke wordcount --input-file README.md
#
# What is made outside of the handler is made once, before any call.
import collections
import re

import weft

WORD = re.compile(r"[^\W_]+")


def handler(data):
    text = data.decode("utf-8", "replace").lower()
    counts = collections.Counter(WORD.findall(text))
    weft.log(f"{sum(counts.values())} words")
    return dict(counts.most_common(10))
