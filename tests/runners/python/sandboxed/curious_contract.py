# Body of a contract that looks at everything that could differ from machine to machine, reports it and fails.
import os
import sys

from genlayer import Address, DynArray, TreeMap, gl

FIRST_RANDOM_BYTES = os.urandom(24)
FACTS = []


def fact(function):
    FACTS.append(function)
    return function


class Plain:
    pass


class Slotted:
    __slots__ = ("__weakref__", "a", "b")


@fact
def hashes():
    return [hash(x) for x in ("abc", "", b"abc", 1, 2.5, (1, "x"), frozenset("abc"), None, 10**40, float("inf"), Plain)]


@fact
def hashes_of_objects():
    return [hash(Plain()), hash(Plain().__init__), hash(len), id(None), id(Plain()), repr(Plain()), repr(hashes)]


@fact
def order_of_sets():
    words = {f"{word}{number}" for word in ("a", "bc", "déf", "x" * 50) for number in range(100)}
    objects = {Plain() for _ in range(50)}
    return [list(words), list(frozenset(words) & set(list(words)[::3])), [id(x) for x in objects], words.pop()]


@fact
def order_of_dicts():
    table = {str(number): number for number in range(1000)}
    for number in range(0, 1000, 3):
        del table[str(number)]
    table |= {"new": 1}
    return [list(table)[-5:], table.popitem(), sys.getsizeof(table), list(vars(Plain)), dir(sys)]


@fact
def random_module():
    import random

    generator = random.Random(1)
    return [
        *(random.random(), random.getrandbits(70), random.sample(range(100), 5), random.gauss(0, 1)),
        *(random.SystemRandom().random(), generator.random(), random.shuffle([1, 2]), random.getstate()[1][-1]),
    ]


@fact
def system_random():
    import secrets
    import uuid

    return [os.urandom(5), os.getrandom(3), secrets.token_hex(8), secrets.randbelow(10**9), str(uuid.uuid4())]


@fact
def first_bytes():
    return FIRST_RANDOM_BYTES.hex()


@fact
def clocks():
    import datetime
    import time

    names = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter_ns", "process_time_ns")
    return [
        *(getattr(time, name)() for name in names),
        *(time.localtime(), time.gmtime(), time.tzname, time.timezone, time.get_clock_info("monotonic")),
        *(datetime.datetime.now().isoformat(), datetime.datetime.now(datetime.UTC).isoformat(), time.ctime()),
    ]


@fact
def uuid_of_host():
    import uuid

    return [uuid.uuid1().hex, uuid.getnode()]


@fact
def environment():
    return [dict(os.environ), sys.argv, sys.orig_argv, sys.path, os.getcwd(), os.sep, os.cpu_count()]


@fact
def system():
    import platform

    flags = {
        name: getattr(sys.flags, name) for name in dir(sys.flags) if not name.startswith(("_", "n_", "count", "index"))
    }
    return [
        *(flags, sys.version, sys.platform, sys.byteorder, sys.maxsize, sys.executable, sys.prefix, sys.base_prefix),
        *(
            sys.float_info,
            sys.int_info,
            sys.hash_info,
            sys.thread_info,
            sys.implementation.cache_tag,
            sys.getrefcount(None),
        ),
        *(sys.stdlib_module_names, sys.builtin_module_names, sys.getrecursionlimit(), sys.getswitchinterval()),
        *(sys.getdefaultencoding(), sys.getfilesystemencoding(), sys.stdout.encoding, sys.warnoptions, sys._xoptions),
        *(platform.uname(), platform.platform(), platform.python_build(), os.name, os.uname()),
    ]


@fact
def modules():
    return list(sys.modules)


@fact
def files():
    tree = [(folder, names, files) for folder, names, files in os.walk("/")]
    details = [os.stat("/"), os.stat("/contract.py"), os.listdir("/py"), list(map(repr, os.scandir("/")))]
    return [len(tree), tree[:3], details, open("/contract.py").read()[:50]]


@fact
def descriptors():
    opened = [os.open("/contract.py", os.O_RDONLY), os.open("/py", os.O_RDONLY)]
    for descriptor in opened:
        os.close(descriptor)
    return [opened, os.open("/contract.py", os.O_RDONLY), sys.stdin.fileno(), os.isatty(0), os.isatty(1)]


@fact
def temporary_files():
    import tempfile

    return tempfile.mkstemp()


@fact
def users():
    return os.path.expanduser("~")


@fact
def user_ids():
    return [os.getpid(), os.getuid()]


@fact
def message():
    return [gl.message, gl.message_raw, gl.trace_time_micro()]


@fact
def locale():
    import locale

    return [locale.getlocale(), locale.getpreferredencoding(), locale.setlocale(locale.LC_ALL, ""), f"{1234.5:n}"]


@fact
def garbage():
    import gc
    import weakref

    gone = []
    cycle = [Slotted(), Slotted()]
    cycle[0].a, cycle[1].a = cycle[1], cycle[0]
    watch = [weakref.ref(item, lambda _: gone.append(len(gone))) for item in cycle]
    del cycle
    found = gc.collect()
    keys = weakref.WeakKeyDictionary({Slotted(): 1})
    return [found, gone, [item() for item in watch], len(keys), gc.get_count(), gc.get_stats(), len(gc.get_objects())]


@fact
def numbers():
    import decimal
    import fractions
    import json
    import math
    import statistics

    floats = [math.sin(number) * 10**number for number in range(-20, 20)]
    with decimal.localcontext(decimal.Context(prec=60)):
        digits = [decimal.Decimal(2).sqrt(), decimal.Decimal(1) / 7, decimal.Decimal(3) ** decimal.Decimal("0.5")]
    return [
        *(json.dumps(floats), json.loads(json.dumps(floats)) == floats, sum(floats), statistics.stdev(floats)),
        *(digits, str(decimal.getcontext()), fractions.Fraction(0.1), 3**200 // 7**50, math.factorial(50), hash(1.1)),
        *(f"{0.1:.40f} {1e300:g} {-0.0!r} {1234567.891:,.2f}", math.inf - math.inf, [x**0.5 for x in range(20)]),
    ]


@fact
def texts():
    import re
    import textwrap
    import unicodedata

    pattern = re.compile(r"(?P<word>\w+)\s(?i:é)|[^\W\d]{2,}")
    return [
        *(pattern.findall("abc É de Éfg"), repr(pattern), pattern.sub(lambda match: match[0].upper(), "ab cd é")),
        *(
            sorted(["b", "A", "é", "a", "B"]),
            "ß".upper(),
            "İ".lower(),
            unicodedata.unidata_version,
            "{} {!r} {!a} {:5.1f}|{:<4d}|{:x}".format(1, "é", "é", 2.25, 3, 255),
        ),
        *(textwrap.wrap("a b c " * 20, 20), "\N{SNOWMAN}".encode(), str(b"\xff"), ascii("é"), "é".casefold()),
    ]


@fact
def sorting():
    import functools
    import heapq
    import itertools

    items = [(number * 7919 % 100, str(number)) for number in range(200)]
    heap = items[:]
    heapq.heapify(heap)
    order = functools.cmp_to_key(lambda a, b: (a[0] % 10) - (b[0] % 10))
    return [
        sorted(items)[:9],
        sorted(items, key=order)[::20],
        heapq.nsmallest(5, heap),
        list(itertools.permutations("abc")),
    ]


@fact
def pickles():
    import copy
    import hashlib
    import marshal
    import pickle

    value = {"set": {"a", "b", "c"}, "nested": [1, 2.5, (None, b"x")], "object": Plain()}
    value["self"] = value
    plain = pickle.dumps(value, protocol=5)
    return [hashlib.sha256(plain).hexdigest(), repr(copy.deepcopy(value)), marshal.dumps({"b": 1, "a": {2, 3}})]


@fact
def failures():
    import traceback

    texts = []
    for code in (
        "1/0",
        "[][1]",
        "{}['x']",
        "nothing",
        "int('x')",
        "open('/none')",
        "import none",
        "1 +",
        "(lambda: 0)(1)",
    ):
        try:
            exec(code)
        except Exception:
            texts.append(traceback.format_exc())
    return texts


@fact
def interpreter():
    import dis
    import inspect

    frame = inspect.currentframe()
    return [
        *(
            dis.Bytecode(hashes).dis(),
            hashes.__code__.co_filename,
            hashes.__code__.co_code,
            frame.f_code,
            frame.f_lineno,
        ),
        *(
            sys._getframe(1).f_code.co_name,
            sys.intern("abc") is "abc".lower(),
            sys.getallocatedblocks(),
            sys.api_version,
        ),
    ]


@fact
def concurrency():
    import threading

    names = [threading.current_thread().name, threading.get_ident(), threading.main_thread().daemon]
    threading.Thread(target=print).start()
    return names


def report():
    for function in FACTS:
        try:
            value = repr(function())
        except Exception as error:
            value = f"{type(error).__name__}: {error}"
        yield function.__name__, value


class Looked(gl.Event):
    def __init__(self, name: str, /, **blob): ...


class Curious(gl.Contract):
    facts: TreeMap[str, str]
    names: DynArray[str]

    def __init__(self):
        pass

    @gl.public.write
    def look(self):
        for name, value in report():
            print(f"{name}\t{value}")
            self.facts[name] = value[-1000:]
            self.names.append(name)
            Looked(name, words={"b", "a"}.__len__(), text=value[:100]).emit()
        gl.get_contract_at(Address(b"\x07" * 20)).emit(value=0).remember(list(self.names), {"z": 1, "a": 2})
        print(gl.vm.spawn_sandbox(lambda: os.urandom(24).hex()))
        raise RuntimeError("the end", {Plain(), "x"})
