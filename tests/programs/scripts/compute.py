import hashlib, json, math, re
from decimal import Decimal, getcontext
from fractions import Fraction

print(json.dumps({"squares": [n * n for n in range(8)], "nested": {"pi": round(math.pi, 9)}},
                 sort_keys=True))
print(json.loads('{"a": [1, 2.5, null, "\\u00fc"]}'))
print(re.findall(r"(\w+)@(\w+)\.org", "ann@loom.org, bob@weft.org"),
      re.sub(r"(?P<x>\d+)", lambda m: str(int(m["x"]) * 2), "a1 b22 c333"))
print(hashlib.sha256(b"weft" * 1000).hexdigest(), hashlib.md5(b"").hexdigest())
print(math.factorial(40), math.comb(60, 30), math.gcd(2**40, 6**20), math.fsum([0.1] * 10))

getcontext().prec = 60
print(Decimal(2).sqrt(), Fraction(1, 3) + Fraction(1, 6))


def queens(n, row=0, columns=0, left=0, right=0):
    if row == n:
        return 1
    total, free = 0, ~(columns | left | right) & ((1 << n) - 1)
    while free:
        bit = free & -free
        free ^= bit
        total += queens(n, row + 1, columns | bit, (left | bit) << 1, (right | bit) >> 1)
    return total


print([queens(n) for n in range(1, 9)])

sieve = bytearray([1]) * 20000
for i in range(2, 142):
    if sieve[i]:
        sieve[i * i::i] = bytes(len(range(i * i, 20000, i)))
print(sum(sieve[2:]), 2**200 % (10**9 + 7), pow(3, 10**6, 10**9 + 9))


def numbers():
    a, b = 0, 1
    while True:
        yield a
        a, b = b, a + b


fib = numbers()
print([next(fib) for _ in range(15)], sorted({"weft": 1, "warp": 2}.items(), key=lambda p: -p[1]))
try:
    [][1]
except IndexError as error:
    print("caught", type(error).__name__, error)


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


print(deep(500))
