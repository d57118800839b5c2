"""For every rule a contract that breaks it and one that looks much the same and does not."""

from __future__ import annotations

from tests.lint.lint_support import HEADER, contract

_RECORD = """
from dataclasses import dataclass

@allow_storage
@dataclass
class R:
    name: str
    tags: DynArray[str]
"""
_BLOCK_BEFORE = """
class Moved(gl.Event):
    def __init__(self, a: u8, /, **blob: gl.calldata.Encodable): ...
"""

CASES: dict[str, tuple[str, str]] = {
    # --- contract class
    "GL201": (HEADER + "from genlayer import *\n\nclass C: ...\n", contract("x: u8")),
    "GL202": (
        contract("x: u8") + "\nclass D(gl.Contract):  #! GL202\n    def __init__(self) -> None: ...\n",
        contract("x: u8", before="class Mixin:\n    y: u8").replace("C(gl.", "C(Mixin, gl."),
    ),
    "GL203": (
        contract("x: u8") + "\nclass D(C):  #! GL203\n    def __init__(self) -> None: ...\n",
        contract("x: u8") + "\nclass D: ...\n",
    ),
    "GL204": (
        contract("@gl.public.write  #! GL204\ndef __init__(self) -> None: ..."),
        contract("@gl.private\ndef __init__(self) -> None: ..."),
    ),
    "GL205": (
        HEADER + "from genlayer import *\n\nclass C(gl.Contract):  #! GL205\n    x: u8\n",
        HEADER + "from genlayer import *\n\nclass M:\n    def __init__(self) -> None: ...\n"
        "\nclass C(M, gl.Contract):\n    x: u8\n",
    ),
    "GL206": (
        contract("@gl.public.write\ndef __secret__(self) -> None: ...  #! GL206"),
        contract(
            "@gl.public.write.payable\ndef __receive__(self) -> None: ...\ndef __eq__(self, o: object) -> bool: ..."
        ),
    ),
    "GL207": (
        contract("x: u8  #! GL207", imports="from genlayer import gl\n"),
        contract("x: u8", imports="from genlayer import gl, u8\n"),
    ),
    "GL208": (
        HEADER + "import genlayer as gl  #! GL208\n\nclass C(gl.Contract):\n    def __init__(self) -> None: ...\n",
        contract("x: gl.u8", imports="import genlayer.gl as gl\n"),
    ),
    "GL209": (
        contract("def __receive__(self) -> None: ...  #! GL209"),
        contract("@gl.public.write.payable\ndef __receive__(self) -> None: ..."),
    ),
    # --- storage
    "GL301": (
        contract("x: int  #! GL301\ny: DynArray[int]  #! GL301\nz: 'int'  #! GL301"),
        contract("x: u256\ny: DynArray[bigint]\nz: 'i8'\nw: typing.ClassVar[int] = 1", before="import typing"),
    ),
    "GL302": (contract("x: float  #! GL302"), contract("def f(self, x: float) -> float: return x / 2")),
    "GL303": (
        contract(
            "a: list[u8]  #! GL303\nb: dict[str, u8]  #! GL303\n"
            "c: set[u8]  #! GL303\nd: tuple[u8, u8]  #! GL303\ne: list  #! GL303"
        ),
        contract("a: DynArray[u8]\nb: TreeMap[str, u8]\nc: TreeMap[u8, None]\ndef f(self) -> list[int]: return [1]"),
    ),
    "GL304": (
        contract(
            "a: u8 | None  #! GL304\nb: typing.Optional[str]  #! GL304\nc: 'u8 | str'  #! GL304", before="import typing"
        ),
        contract("a: u8\ndef f(self) -> int | None: return None"),
    ),
    "GL305": (
        contract(
            "a: Color  #! GL305\nb: typing.Any  #! GL305\nc: bytearray  #! GL305\nd: datetime.timedelta  #! GL305",
            before="import datetime, enum, typing\n\nclass Color(enum.Enum):\n    RED = 1",
        ),
        contract("a: str\nb: bytes\nd: datetime.datetime", before="import datetime"),
    ),
    "GL306": (
        contract("a: DynArray  #! GL306\nb: TreeMap  #! GL306\nc: TreeMap[str]  #! GL306\nd: Array[u8]  #! GL306"),
        contract("a: DynArray[u8]\nb: TreeMap[str, TreeMap[Address, u8]]"),
    ),
    "GL307": (
        contract("a: Array[u8, 3]  #! GL307"),
        contract("a: Array[u8, typing.Literal[3]]\nb: Array[u8, N]", before="import typing\nN = typing.Literal[3]"),
    ),
    "GL308": (
        contract(
            "a: DynArray[R]  #! GL308",
            before="from dataclasses import dataclass\n\n@dataclass\nclass R:\n    name: str",
        ),
        contract("a: DynArray[R]", before=_RECORD),
    ),
    "GL309": (
        contract(
            "a: R",
            before="from dataclasses import dataclass\n\n@dataclass\n@allow_storage  #! GL309\nclass R:\n    name: str",
        ),
        contract("a: R", before=_RECORD),
    ),
    "GL310": (
        contract("a: u8 = u8(5)  #! GL310\nb: str = 'x'  #! GL310"),
        contract("a: u8 = u8(0)\nb: str = ''\nc: R\nLIMIT = 5", before=_RECORD.replace("DynArray[str]", "u8 = u8(3)")),
    ),
    "GL311": (
        contract("a: TreeMap[str, u8]\ndef __init__(self) -> None:\n    self.a = {}  #! GL311"),
        contract("a: DynArray[u8]\nb: str\ndef __init__(self) -> None:\n    self.a = []\n    self.b = ''"),
    ),
    "GL312": (
        contract("a: DynArray[u8]\ndef __init__(self) -> None:\n    self.a = DynArray[u8]()  #! GL312"),
        contract("a: DynArray[u8]\ndef f(self) -> None:\n    x = gl.storage.inmem_allocate(TreeMap[str, u8])"),
    ),
    "GL313": (
        contract("a: u8\ndef __init__(self) -> None:\n    self.b = 1  #! GL313"),
        contract(
            "a: u8\n@property\ndef c(self) -> int: ...\n@c.setter\ndef c(self, x: int) -> None: ...\n"
            "def __init__(self) -> None:\n    self.a = u8(1)\n    self.m = u8(2)\n    self.c = 1",
            before="class Mixin:\n    m: u8",
        ).replace("C(gl.", "C(Mixin, gl."),
    ),
    "GL314": (
        contract("a: np.float32", imports="from genlayer import *\nimport numpy as np  #! GL314\n"),
        contract("a: np.float32", imports="import numpy as np\nfrom genlayer import *\n"),
    ),
    "GL315": (
        contract("a: R", before="@allow_storage\nclass R:\n    children: DynArray['R']  #! GL315"),
        contract("a: R", before=_RECORD + "\n\n@allow_storage\nclass S:\n    r: R\n    s: DynArray[R]"),
    ),
    # --- public methods
    "GL401": (
        contract("@gl.public.view\ndef f(self, a) -> int: return 1  #! GL401"),
        contract("@gl.public.view\ndef f(self, a: str) -> int: return 1\ndef g(self, a): ..."),
    ),
    "GL402": (
        contract("@gl.public.write\ndef f(self): ...  #! GL402"),
        contract("@gl.public.write\ndef f(self) -> None: ...\ndef g(self): ..."),
    ),
    "GL403": (
        contract(
            "@gl.public.view\ndef f(self, a: set[int]) -> Color: ...  #! GL403 GL403\n"
            "@gl.public.view\ndef g(self, a: object) -> P: ...  #! GL403 GL403",
            before="import enum\n\nclass Color(enum.Enum):\n    RED = 1\n\nclass P:\n    x: int",
        ),
        contract(
            "@gl.public.view\n"
            "def f(self, a: list[int], b: D, c: tuple[str, bytes]) -> dict[str, typing.Any] | None: ...",
            before="import typing\nfrom dataclasses import dataclass\n\n@dataclass\nclass D:\n    x: int",
        ),
    ),
    "GL404": (
        contract("@gl.public.view\ndef f(self) -> dict[Address, int]: ...  #! GL404"),
        contract("@gl.public.view\ndef f(self) -> dict[str, int]: ...\ndef g(self) -> dict[Address, int]: ..."),
    ),
    "GL405": (
        contract(
            "@gl.public.view\ndef f(self, a: float) -> float | None:  #! GL405 GL405\n    return {'x': 0.5}  #! GL405\n"
            "@gl.public.view\ndef g(self, a: D) -> int: return 1  #! GL405",
            before="from dataclasses import dataclass\n\n@dataclass\nclass D:\n    x: float",
        ),
        contract(
            "@gl.public.view\ndef f(self) -> int:\n    x: float = 0.5\n"
            "    return round(x * 2)\ndef g(self) -> float: return 0.5"
        ),
    ),
    "GL406": (
        contract("@gl.public.write\ndef f(self, *a: int, **k: int) -> None: ...  #! GL406 GL406"),
        contract(
            "@gl.public.write\ndef f(self, a: list[int], *, k: int) -> None: ...\ndef g(self, *a: int) -> None: ..."
        ),
    ),
    "GL407": (
        contract("@gl.public.view\ndef f(this) -> int: return 1  #! GL407"),
        contract("@gl.public.view\ndef f(self) -> int: return 1\n@staticmethod\ndef g(a: int) -> int: return a"),
    ),
    "GL408": (
        contract(
            "a: u8\nb: DynArray[u8]\n@gl.public.view\ndef f(self) -> None:\n    self.a = u8(1)  #! GL408\n"
            "    self.b.append(u8(1))  #! GL408"
        ),
        contract(
            "a: u8\nb: DynArray[u8]\n@gl.public.view\n"
            "def f(self) -> list[int]:\n    x = list(self.b)\n    x.append(1)\n"
            "    return x\n@gl.public.write\ndef g(self) -> None:\n    self.a = u8(1)"
        ),
    ),
    "GL409": (
        contract("@gl.public.view.payable  #! GL409\ndef f(self) -> int: return 1"),
        contract("@gl.public.write.min_gas(leader=1, validator=2).payable\ndef f(self) -> int: return 1"),
    ),
    "GL410": (
        contract("@gl.public.view  #! GL410\n@property\ndef f(self) -> int: return 1"),
        contract("@property\ndef f(self) -> int: return 1"),
    ),
    "GL411": (
        contract("@gl.public  #! GL411\ndef f(self) -> int: return 1"),
        contract("@gl.public.write\ndef f(self) -> int: return 1"),
    ),
    "GL412": (
        contract("@gl.public.write\nasync def f(self) -> int: return 1  #! GL412"),
        contract("async def f(self) -> int: return 1"),
    ),
    # --- non-determinism
    "GL501": (
        contract(
            "@gl.public.write\ndef f(self) -> str: return ask('x')\n"
            "@gl.public.write\ndef g(self) -> str: return self._web()\n"
            "def _web(self) -> str: return gl.nondet.web.get('x').body  #! GL501",
            before="def ask(x: str) -> str:\n    return gl.nondet.exec_prompt(x)  #! GL501",
        ),
        contract(
            "@gl.public.write\ndef f(self) -> str:\n    def leader() -> str: return ask('x')\n"
            "    return gl.eq_principle.strict_eq(leader) + gl.eq_principle.strict_eq(lambda: ask('y'))\n"
            "@gl.public.write\ndef g(self) -> str:\n    return gl.vm.run_nondet(ask_b, lambda r: True)",
            before="def ask(x: str) -> str:\n    return gl.nondet.exec_prompt(x)\n"
            "\ndef ask_b() -> str: return ask('b')",
        ),
    ),
    "GL502": (
        contract(
            "a: str\nr: DynArray[R]\n@gl.public.write\ndef f(self) -> None:\n    last = self.r[-1]\n"
            "    gl.eq_principle.strict_eq(lambda: self.a)  #! GL502\n"
            "    gl.eq_principle.strict_eq(lambda: self._a())  #! GL502\n"
            "    def leader() -> str:\n        self.a = 'x'  #! GL502\n        return last.name  #! GL502\n"
            "    gl.vm.run_nondet(leader, lambda r: True)\n    gl.vm.spawn_sandbox(lambda: self.a)  #! GL502\n"
            "def _a(self) -> str: return self.a",
            before=_RECORD,
        ),
        contract(
            "a: str\nr: DynArray[R]\n@gl.public.write\ndef f(self) -> None:\n    a, name = self.a, self.r[-1].name\n"
            "    last = gl.storage.copy_to_memory(self.r[-1])\n"
            "    gl.eq_principle.strict_eq(lambda: a + name + last.name)\n"
            "    gl.eq_principle.strict_eq(lambda self='x': self)\n"
            "    gl.vm.spawn_sandbox(lambda: self._set(), allow_write_ops=True)\ndef _set(self) -> None: self.a = 'x'",
            before=_RECORD,
        ),
    ),
    "GL503": (
        contract(
            "@gl.public.write\ndef f(self) -> None:\n    gl.eq_principle.strict_eq(lambda: self._ask())  #! GL503\n"
            "def _ask(self) -> str: return gl.nondet.exec_prompt('x')"
        ),
        contract(
            "@gl.public.write\ndef f(self) -> None:\n    gl.eq_principle.strict_eq(lambda: ask(self.address))",
            before="def ask(x: Address) -> str: return gl.nondet.exec_prompt(str(x))",
        ),
    ),
    "GL504": (
        contract(
            "@gl.public.write\ndef f(self, to: Address) -> None:\n    def leader() -> int:\n"
            "        gl.get_contract_at(to).emit().pay()  #! GL504\n"
            "        Moved(u8(1)).emit()  #! GL504\n        return 1\n    gl.eq_principle.strict_eq(leader)",
            before=_BLOCK_BEFORE,
        ),
        contract(
            "@gl.public.write\ndef f(self, to: Address) -> None:\n    gl.eq_principle.strict_eq(lambda: 1)\n"
            "    gl.get_contract_at(to).emit().pay()\n    Moved(u8(1)).emit()",
            before=_BLOCK_BEFORE,
        ),
    ),
    "GL505": (
        contract(
            "@gl.public.write\ndef f(self) -> None:\n"
            "    gl.vm.spawn_sandbox(lambda: gl.eq_principle.strict_eq(lambda: 1))  #! GL505\n"
            "    gl.eq_principle.strict_eq(lambda: helper())",
            before="def helper() -> int: return gl.vm.run_nondet(lambda: 1, lambda r: True)  #! GL505",
        ),
        contract(
            "@gl.public.write\ndef f(self) -> None:\n"
            "    gl.eq_principle.strict_eq(lambda: gl.vm.spawn_sandbox(lambda: 1))"
        ),
    ),
    "GL506": (
        contract(
            "@gl.public.write\ndef f(self) -> None:\n    def validator(r: object): print(r)  #! GL506\n"
            "    gl.vm.run_nondet_unsafe(lambda: 1, validator)\n"
            "    gl.vm.run_nondet(lambda: 1, lambda r: 'yes')  #! GL506"
        ),
        contract(
            "@gl.public.write\ndef f(self) -> None:\n    def validator(r: object):\n"
            "        if r: return r == 1\n        raise ValueError\n"
            "    gl.vm.run_nondet_unsafe(lambda: 1, validator)\n    gl.vm.run_nondet(lambda: 1, lambda r: bool(r))"
        ),
    ),
    "GL507": (
        contract(
            "def f(self) -> None:\n    random.random()  #! GL507\n    os.urandom(4)  #! GL507",
            before="import os, random",
        ),
        contract(
            "def f(self) -> None:\n    os.getpid()\n    random.random()",
            before="import os\nclass random:\n    random = str",
        ),
    ),
    "GL508": (
        contract("def f(self) -> object: return gl.nondet.exec_prompt('x', respose_format='json')  #! GL508"),
        contract("def f(self, **more) -> object: return gl.nondet.exec_prompt('x', response_format='json', **more)"),
    ),
    # --- names
    "GL601": (
        contract(
            "def f(self) -> None:\n    gl.get_contract_at(a).emit(gas=3)  #! GL601\n"
            "    gl.get_webpage('x')  #! GL601\n    raise Rollback('x')  #! GL601\n"
            "def g(self) -> Address: return gl.message.sender_account  #! GL601",
            before="import genlayer.std  #! GL601",
        ),
        contract("def f(self) -> None:\n    raise Rollback('x')", before="class Rollback(Exception): ..."),
    ),
    "GL602": (
        contract(
            "def f(self) -> None:\n    gl.vm.Foo  #! GL602\n"
            "    gl.nondet.web.put('x')  #! GL602\n    gl.message_raw['time']  #! GL602"
        ),
        contract("def f(self) -> None:\n    gl.vm.Return\n    gl.message_raw['datetime']\n    gl.vm.__name__"),
    ),
    # --- events and versions
    "GL701": (
        contract("def f(self) -> None: Moved(u8(1)).emit()  #! GL701", before=_BLOCK_BEFORE).replace(
            "v0.2.16", "v0.1.4"
        ),
        contract("def f(self) -> None: Moved(u8(1)).emit()", before=_BLOCK_BEFORE).replace("v0.2.16", "v0.1.5"),
    ),
    "GL702": (
        contract("def f(self) -> None: gl.trace('x')  #! GL702").replace("v0.2.16", "v0.1.9"),
        contract("def f(self) -> None: gl.trace('x')").replace("v0.2.16", "v0.1.10"),
    ),
    "GL703": (
        contract("x: u8", before="class E(gl.Event):\n    def __init__(self, a: u8, **blob: u8): ...  #! GL703"),
        contract("x: u8", before="class E(gl.Event):\n    def __init__(self, a: u8, /, **blob: u8): ..."),
    ),
    "GL704": (
        contract("x: u8", before="class E(gl.Event):\n    def __init__(self, b: u8, a: u8, /): ...  #! GL704"),
        contract("x: u8", before="class E(gl.Event):\n    def __init__(self, a: u8, b: u8, /): ..."),
    ),
    "GL705": (
        contract(
            "x: u8", before="class E(gl.Event):\n    def __init__(self, a: u8, b: u8, c: u8, d: u8, /): ...  #! GL705"
        ),
        contract("x: u8", before="class E(gl.Event):\n    def __init__(self, a: u8, b: u8, c: u8, /): ..."),
    ),
}

_ASK = "def ask(x: str) -> str:\n    return gl.nondet.exec_prompt(x)"
_STATIC = (
    "@gl.public.write\ndef f(self) -> None:\n    gl.vm.run_nondet(self._lead, self._agree)\n"
    "    gl.eq_principle.strict_eq(self._ask)\n"
    "@staticmethod\ndef _lead() -> int: return 1\n"
    "@staticmethod\ndef _agree(leader: object) -> bool: return leader.a == 1\n"
    "@classmethod\ndef _ask(cls) -> int: return cls.LIMIT\n"
)

#: More that only looks wrong, by the rule that it is not to break and what it is about.
PASSES: dict[str, str] = {
    "GL202 one of two": contract("x: u8").replace("class C(", "if True:\n  class C(").replace("\n    ", "\n      ")
    + "else:\n  class D(gl.Contract):\n      def __init__(self) -> None: ...\n",
    "GL202 one of two in a try": HEADER
    + "from genlayer import *\n\ntry:\n    import numpy\n\n    class C(gl.Contract):\n        x: u8\n"
    + "except ImportError:\n\n    class C(gl.Contract):\n        y: u8\n",
    "GL202 in a function": contract("x: u8") + "\ndef make() -> type:\n    class D(gl.Contract): ...\n    return D\n",
    "GL201 in a function": HEADER + "from genlayer import *\n\ndef make():\n    class C(gl.Contract): ...\n\nmake()\n",
    "GL310 star import of typing": contract("LIMIT: ClassVar[int] = 5\nx: u8", before="from typing import *"),
    "GL310 star import of another module": contract("LIMIT: ClassVar[int] = 5\nx: u8", before="from shared import *"),
    "GL311 self of another class": contract(
        "a: TreeMap[str, u8]\ndef f(self) -> None:\n    class Seen:\n        def __init__(self) -> None:\n"
        "            self.a = {}\n    Seen()"
    ),
    "GL313 self of another class": contract(
        "a: u8\ndef f(self) -> None:\n    class Seen:\n        def __init__(self) -> None:\n            self.b = 1\n"
        "    def helper(self: Seen) -> None:\n        self.c = 1\n"
        "@classmethod\ndef g(cls) -> None: cls.d = 1"
    ),
    "GL501 block by a decorator": contract(
        "@gl.public.write\ndef f(self) -> str: return fetch('x') + self._fetch('x')\n"
        "@agreed\ndef _fetch(self, url: str) -> str: return gl.nondet.web.get(url).body.decode()\n"
        "@gl.public.write\n@agreed\ndef g(self, url: str) -> str: return gl.nondet.web.get(url).body.decode()",
        before="def agreed(f):\n    return lambda *a: gl.eq_principle.strict_eq(lambda: f(*a))\n\n"
        "@agreed\ndef fetch(url: str) -> str:\n    return gl.nondet.web.get(url).body.decode()",
    ),
    "GL501 under a condition": contract(
        "@gl.public.write\ndef f(self) -> str: return fetch('x', False) + get('x', False)",
        before="def fetch(url: str, inside: bool) -> str:\n    if inside:\n        return gl.nondet.exec_prompt(url)\n"
        "    return gl.eq_principle.strict_eq(lambda: fetch(url, True))\n\n"
        "def get(url: str, inside: bool) -> str:\n    if not inside:\n"
        "        return gl.eq_principle.strict_eq(lambda: get(url, True))\n    return gl.nondet.exec_prompt(url)",
    ),
    "GL501 main": contract("x: u8") + f"\n\n{_ASK}\n\nif __name__ == '__main__':\n    gl.nondet.exec_prompt('x')\n",
    "GL501 replaced by a subclass": contract(
        "def __init__(self) -> None: ...",
        before="class M:\n    def __init__(self) -> None:\n        gl.nondet.exec_prompt('x')",
    ).replace("C(gl.", "C(M, gl."),
    "GL502 static": contract("a: u8\n" + _STATIC),
    "GL503 static": contract(_STATIC),
    "GL505 under a condition": contract(
        "@gl.public.write\ndef f(self) -> int: return gl.eq_principle.strict_eq(lambda: count(True))",
        before="def count(inside: bool) -> int:\n    return 1 if inside else gl.eq_principle.strict_eq(lambda: 1)",
    ),
    "GL506 decorated": contract(
        "@gl.public.write\ndef f(self) -> None:\n    @judge\n    def validator(r: object): return 'yes'\n"
        "    gl.vm.run_nondet(lambda: 1, validator)",
        before="def judge(f):\n    return lambda r: f(r) == 'yes'",
    ),
    "GL507 not random": contract(
        "def f(self, key: str) -> None:\n    secrets.compare_digest(key, 'x')\n    random.Random(7).random()\n"
        "    random.seed(7)\n    datetime.datetime.now(datetime.UTC)\n    time.time()",
        before="import datetime, random, secrets, time",
    ),
    "GL601 star import": contract("def f(self) -> None: raise Rollback('x')", before="from errors import *"),
    "GL601 emit of something else": contract(
        "def f(self, out: Log) -> None: out.emit(code=3)", before="from logs import Log"
    ),
    "GL601 asked for": contract(
        "def f(self) -> None:\n    if hasattr(gl, 'get_webpage'):\n        gl.get_webpage('x')\n    try:\n"
        "        gl.call_llm('x')\n    except AttributeError:\n        pass\n    try:\n        gl.exec_prompt('x')\n"
        "    except (NameError, AttributeError):\n        pass"
    ),
    "GL602 of a NamedTuple": contract("def f(self) -> object: return gl.message._asdict(), gl.message._fields"),
}
