# SPDX-License-Identifier: Apache-2.0
#
# State from Python: counts its visits, keeps what visitors said, and takes work from a queue that
# C programs may fill (weft_queue_push), on any host.
#
#     weft deploy examples/state.py
#     weft invoke state --input '{"visit": "Ada"}'
#     weft invoke state --input '{"work": ["one", "two"]}'
#     weft invoke state --input '{"take": 1}'
#
# The number and the queue are what weft/objects.h has; the book is a file, to which every host
# appends, and the list of names another, which is replaced whole.
import json
import os

import weft

visits = weft.state.Counter("example/visits")
queue = weft.state.Queue("example/queue")


def visit(name):
    number = visits.add()
    with open("/state/example/book", "a") as book:
        book.write(f"{number}: {name}\n")
    with weft.state.lock("example/names.lock"):
        names = []
        if os.path.exists("/state/example/names.json"):
            with open("/state/example/names.json") as file:
                names = json.load(file)
        if name not in names:
            names.append(name)
        with open("/state/example/names.tmp", "w") as file:
            json.dump(names, file)
        os.replace("/state/example/names.tmp", "/state/example/names.json")
    return {"visits": number, "names": names}


def take(count):
    items = []
    while len(items) < count:
        try:
            items.append(queue.pop(timeout=10).decode())
        except weft.StateTimeoutError:
            break
    return items


def handle_json(value):
    if "visit" in value:
        return visit(value["visit"])
    for item in value.get("work", []):
        queue.push(item)
    if "book" in value:
        with open("/state/example/book") as book:
            return book.read().splitlines()
    return take(value.get("take", 0))
