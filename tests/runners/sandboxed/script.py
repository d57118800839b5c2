"""Run inside the interpreter of the sandbox by test_runners_built.py; prints what the test compares."""

import datetime
import decimal
import hashlib
import json
import math
import sys
import zlib

import _genlayer_wasi

print(sys.version)
print(sys.platform, sys.hash_info.width, sys.flags.dont_write_bytecode)
print(1 + 1, 0.1 + 0.2, 7 // -2, 2**0.5, 1e308 * 10, float("nan") != float("nan"))
print(json.dumps({"b": [1, 2.5, None, "é"], "a": -0.0}), json.loads("1e-7"))
print(decimal.Decimal(1) / 3, repr(datetime.timedelta(seconds=1.5)))
print(hashlib.sha3_256(b"").hexdigest())
print(hashlib.blake2b(b"", digest_size=4).hexdigest(), zlib.crc32(b"123456789"))
print(zlib.decompress(zlib.compress(b"abc" * 100)) == b"abc" * 100)
for function, value in (
    ("log2", 5e-324),
    ("log10", 1e-308),
    ("log10", 5e-324),
    ("acosh", 1.0),
    ("acosh", 1.5),
    ("acosh", 3.0),
    ("acosh", 1e300),
    ("acosh", math.inf),
    ("acosh", math.nan),
    ("acosh", 0.5),
    ("acosh", -3.0),
    ("acosh", -6578.32),
    ("acosh", -1130751.35),
    ("acosh", -math.inf),
    ("sqrt", -1.0),
    ("gamma", 171.0),
):
    try:
        print(function, value, getattr(math, function)(value))
    except ValueError as error:
        print(function, value, error)


def deeper(n):
    return deeper(n + 1)


class Slots:
    def __float__(self):
        return float(self)


for call in (lambda: deeper(0), lambda: float(Slots()), lambda: eval("(" * 5000 + ")" * 5000)):
    try:
        call()
    except (RecursionError, MemoryError, SyntaxError) as error:
        print(type(error).__name__)

for call in (
    lambda: _genlayer_wasi.storage_read(b"s" * 32, 5, bytearray(3)),
    lambda: _genlayer_wasi.storage_write(b"s" * 32, -1, b"abc"),
    lambda: _genlayer_wasi.get_balance(b"a" * 20),
    lambda: _genlayer_wasi.get_self_balance(),
    lambda: _genlayer_wasi.gl_call(b"request"),
    lambda: _genlayer_wasi.gl_call(b"forbidden"),
    lambda: _genlayer_wasi.gl_call(b"strange"),
    lambda: _genlayer_wasi.gl_call(request=b""),
    lambda: _genlayer_wasi.storage_read(b"", 0, b"read-only"),
):
    try:
        print(call())
    except (SystemError, TypeError) as error:
        print(type(error).__name__, error)
