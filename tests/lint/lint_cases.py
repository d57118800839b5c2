"""For every rule a contract that breaks it and one that looks much the same and does not."""

from __future__ import annotations

from tests.lint.lint_support import HEADER, contract, each

_RECORD = """
from dataclasses import dataclass

@allow_storage
@dataclass
class R:
    name: str
    tags: DynArray[str]
"""
_FIELDS = (
    "i: u8\nbig: bigint\nsigned: i8\ns: str\nby: bytes\no: bool\nad: Address\nfl: float  #! GL302\n"
    "dt: datetime.datetime\nd: DynArray[u8]\nm: TreeMap[str, u8]\nr: Rec\nar: Array[u8, typing.Literal[2]]\n"
)
_FIELD_TYPES = """
import datetime, time, typing
from dataclasses import dataclass

@allow_storage
@dataclass
class Rec:
    a: u8
    b: str = ""
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
    "GL302": (contract("x: float  #! GL302"), contract("def _f(self, x: float) -> float: return x / 2")),
    "GL303": (
        contract(
            "a: list[u8]  #! GL303\nb: dict[str, u8]  #! GL303\n"
            "c: set[u8]  #! GL303\nd: tuple[u8, u8]  #! GL303\ne: list  #! GL303"
        ),
        contract("a: DynArray[u8]\nb: TreeMap[str, u8]\nc: TreeMap[u8, None]\ndef _f(self) -> list[int]: return [1]"),
    ),
    "GL304": (
        contract(
            "a: u8 | None  #! GL304\nb: typing.Optional[str]  #! GL304\nc: 'u8 | str'  #! GL304", before="import typing"
        ),
        contract("a: u8\ndef _f(self) -> int | None: return None"),
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
        contract(
            "a: Array[u8, 3]  #! GL307\nb: Array[u8, typing.Literal[-1]]  #! GL307\n"
            "c: Array[u8, typing.Literal[True]]  #! GL307\nd: Array[u8, typing.Literal[1, 2]]  #! GL307",
            before="import typing",
        ),
        contract(
            "a: Array[u8, typing.Literal[3]]\nb: Array[u8, N]\nc: Array[u8, typing.Literal[0]]",
            before="import typing\nN = typing.Literal[3]",
        ),
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
        contract(
            "a: DynArray[u8]\nb: TreeMap[str, u8]\ndef __init__(self) -> None:\n    self.b = TreeMap()\n"
            "def _f(self) -> None:\n    x = gl.storage.inmem_allocate(DynArray[u8])\n    self.b = TreeMap[str, u8]()"
        ),
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
    "GL316": (
        contract(
            "a: TreeMap[Address, DynArray[u8]]\nb: TreeMap[str, Rec]\nc: TreeMap[str, TreeMap[str, u8]]\n"
            "d: DynArray[u8]\n"
            + each(
                "self.a.setdefault(gl.message.sender_address, []).append(u8(1))  #! GL316",
                "x = self.a.get(gl.message.sender_address, [])  #! GL316\n    x.append(u8(1))\n    print(len(x))",
                "(self.a.get(gl.message.sender_address) or []).append(u8(1))  #! GL316",
                "self.b.setdefault('k', Rec(u8(1))).a += u8(1)  #! GL316",
                "m = self.c\n    x = m.setdefault('k', {})  #! GL316\n    x['l'] = u8(1)",
                "self.d[:].append(u8(1))  #! GL316",
                "list(self.d).append(u8(1))  #! GL316",
            ),
            before=_FIELD_TYPES,
        ),
        contract(
            "a: TreeMap[Address, DynArray[u8]]\nb: TreeMap[str, Rec]\nc: TreeMap[str, u8]\nd: DynArray[u8]\n"
            + each(
                "self.a.get_or_insert_default(gl.message.sender_address).append(u8(1))",
                "x = self.a.get(gl.message.sender_address, [])\n    x = [*x, u8(1)]\n    x.append(u8(2))",
                "x = self.b.get('k', Rec(u8(1)))\n    print(x.a)",
                "self.c.setdefault('k', u8(1))",
                "x = list(self.d)\n    x.append(u8(1))",
            ),
            before=_FIELD_TYPES,
        ),
    ),
    "GL317": (
        contract(
            _FIELDS
            + each(
                "self.i = 0.5  #! GL317",
                "self.i = u8(self.i / 2)  #! GL317",
                "self.i /= 2  #! GL317",
                "self.i = time.time()  #! GL317",
                "half = self.i * 0.5\n    self.i = half  #! GL317",
                "self.big = '5'  #! GL317",
                "self.s = 5  #! GL317",
                "self.s = gl.message.sender_address  #! GL317",
                "self.ad = '0x'  #! GL317",
                "self.ad = None  #! GL317",
                "self.by = f'{self.i}'  #! GL317",
                "self.fl = 'x'  #! GL317",
                "self.dt = 5  #! GL317",
                "self.d.append(0.5)  #! GL317",
                "self.d = None  #! GL317",
                "self.m['k'] = 'x'  #! GL317",
                "self.m = (1, 2)  #! GL317",
                "self.r = None  #! GL317",
                "self.r.a = 'x'  #! GL317",
                "Rec(0.5)  #! GL317",
                "Rec(u8(1), b=5)  #! GL317",
                "self.ar = (1, 2)  #! GL317",
            ),
            before=_FIELD_TYPES,
        ),
        contract(
            _FIELDS
            + each(
                "self.i = self.i // 2",
                "self.i = round(1.6)",
                "self.i = True",
                "self.i = len('x') if self.s else ord('x')",
                "self.big = int('5')",
                "self.o = 'yes'",
                "self.fl = 1",
                "self.fl = self.i / 2",
                "self.s = f'{self.i}' + str(5)",
                "self.ad = gl.message.sender_address",
                "self.d = (1, 2)\n    self.d = b'12'\n    self.d = []",
                "self.ar = [1, 2]",
                "self.r = Rec(u8(1), 'x')",
                "self.dt = datetime.datetime.now()",
                "x = 0.5\n    x = 2\n    self.i = x",
            ),
            before=_FIELD_TYPES,
        ),
    ),
    "GL318": (
        contract(
            _FIELDS
            + each(
                "self.i = u8(256)  #! GL318",
                "self.i = -1  #! GL318",
                "self.signed = 128  #! GL318",
                "self.m['k'] = 10**18  #! GL318",
                "self.d.append(1 << 8)  #! GL318",
                "Rec(300)  #! GL318",
            ),
            before=_FIELD_TYPES,
        ),
        contract(
            _FIELDS
            + each(
                "self.i = u8(255)",
                "self.signed = -128",
                "self.big = -(10**30)",
                "x = u8(300)\n    self.i = x % 256",
            ),
            before=_FIELD_TYPES,
        ),
    ),
    "GL319": (
        contract(
            "x: u8",
            before="from dataclasses import dataclass, field\n\n@dataclass\nclass D:\n    a: int = 1\n"
            "    b: int  #! GL319\n\n@dataclass\nclass E:\n    a: list = field(default_factory=list)\n"
            "\n@dataclass\nclass F(E):\n    b: int  #! GL319",
        ),
        contract(
            "x: u8",
            before="from dataclasses import KW_ONLY, dataclass, field\nfrom typing import ClassVar\n\n"
            "@dataclass\nclass D:\n    a: int\n    N: ClassVar[int] = 1\n    b: int = 1\n\n"
            "@dataclass(kw_only=True)\nclass E:\n    a: int = 1\n    b: int\n\n"
            "@dataclass\nclass F:\n    a: int = 1\n    _: KW_ONLY\n    b: int\n\n"
            "@dataclass\nclass G:\n    a: int = field(default=1, init=False)\n    b: int\n\n"
            "@dataclass\nclass H(D):\n    a: int\n    c: int = 2",
        ),
    ),
    # --- public methods
    "GL401": (
        contract("@gl.public.view\ndef f(self, a) -> int: return 1  #! GL401"),
        contract("@gl.public.view\ndef f(self, a: str) -> int: return 1\ndef _g(self, a): ..."),
    ),
    "GL402": (
        contract("@gl.public.write\ndef f(self): ...  #! GL402"),
        contract("@gl.public.write\ndef f(self) -> None: ...\ndef _g(self): ..."),
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
        contract("@gl.public.view\ndef f(self) -> dict[str, int]: ...\ndef _g(self) -> dict[Address, int]: ..."),
    ),
    "GL405": (
        contract(
            "@gl.public.view\ndef f(self, a: float) -> float | None:  #! GL405 GL405\n    return {'x': 0.5}  #! GL405\n"
            "@gl.public.view\ndef g(self, a: D) -> int: return 1  #! GL405",
            before="from dataclasses import dataclass\n\n@dataclass\nclass D:\n    x: float",
        ),
        contract(
            "@gl.public.view\ndef f(self) -> int:\n    x: float = 0.5\n"
            "    return round(x * 2)\ndef _g(self) -> float: return 0.5"
        ),
    ),
    "GL406": (
        contract("@gl.public.write\ndef f(self, *a: int, **k: int) -> None: ...  #! GL406 GL406"),
        contract(
            "@gl.public.write\ndef f(self, a: list[int], *, k: int) -> None: ...\ndef _g(self, *a: int) -> None: ..."
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
        contract("async def _f(self) -> int: return 1"),
    ),
    "GL413": (
        contract(
            "@gl.public.view\ndef list(self) -> list[int]: return [1]\n"
            "@gl.public.view\ndef g(self) -> list[int]: return [1]  #! GL413"
        ),
        contract(
            "x: u8\n@gl.public.view\ndef g(self) -> dict[str, list[int]]: return {}\ndef _h(self) -> str: return ''\n"
            "@gl.public.view\ndef list(self) -> list[int]: return [1]\n"
            "@gl.public.view\ndef str(self) -> int:\n    x: dict[int, list[int]] = {}\n    return len(list(x))\n"
            "def _f(self) -> str: return ''"
        ),
    ),
    "GL414": (
        contract("def get(self) -> int: return 1  #! GL414"),
        contract(
            "@property\ndef size(self) -> int: return self.one() + self._two()\ndef one(self) -> int: return 1\n"
            "def _two(self) -> int: return 2\n@gl.public.view\ndef get(self) -> int: return self.three()\n"
            "@gl.public.view\ndef any(self, name: str) -> int: return getattr(self, 'four')()\n"
            "def four(self) -> int: return 4",
            before="class Mixin:\n    def three(self) -> int: return 3",
        ).replace("C(gl.", "C(Mixin, gl."),
    ),
    "GL415": (
        contract(
            each(
                "gl.get_contract_at(self.address).emit().m0()  #! GL415",
                "to = gl.get_contract_at(self.address)\n    to.emit_transfer(value=u256(1))  #! GL415",
                "gl.deploy_contract(code=b'')  #! GL415",
                view=True,
            )
        ),
        contract(
            each("gl.get_contract_at(self.address).view().m1()", "Moved(u8(1)).emit()", view=True),
            before=_BLOCK_BEFORE,
        ),
    ),
    "GL416": (
        contract(
            each(
                "gl.get_contract_at(self.address).view().one()  #! GL416",
                "gl.get_contract_at(gl.message.contract_address).view().two()  #! GL416",
            )
            + "def one(self) -> int: return 1"
        ),
        contract(
            each("gl.get_contract_at(self.address).view().one()") + "@gl.public.view\ndef one(self) -> int: return 1"
        ),
    ),
    "GL417": (
        contract(
            "@gl.public.write\ndef f(self, token: Address, other: str) -> None:\n"
            "    gl.get_contract_at(token).view().f()  #! GL417\n"
            "    there = Other(Address(other))\n    there.view().f()  #! GL417\n"
            "@gl.public.view\ndef g(self) -> None:\n    Other(gl.message.sender_address).view().f()  #! GL417",
            before="@gl.contract_interface\nclass Other:\n    class View: ...\n    class Write: ...",
        ),
        contract(
            "a: Address\nknown: TreeMap[Address, bool]\n"
            "@gl.public.write\ndef f(self, token: Address, other: Address, third: Address) -> None:\n"
            "    if token not in self.known:\n        raise gl.vm.UserError('unknown')\n"
            "    gl.get_contract_at(token).view().f()\n    gl.get_contract_at(self.a).view().f()\n"
            "    self._check(other)\n    gl.get_contract_at(other).view().f()\n"
            "    gl.get_contract_at(third).emit().f()\n    Erc(third).view().f()\n"
            "def _check(self, other: Address) -> None: ...",
            before="@gl.evm.contract_interface\nclass Erc:\n    class View: ...\n    class Write: ...",
        ),
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
            each(
                "to = self.address\n    def leader() -> int:\n        gl.get_contract_at(to).emit().pay()  #! GL504\n"
                "        return 1\n    gl.eq_principle.strict_eq(leader)",
                "gl.eq_principle.strict_eq(lambda: Moved(u8(1)).emit())  #! GL504",
            ),
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
            "def _f(self) -> None:\n    random.random()  #! GL507\n    os.urandom(4)  #! GL507",
            before="import os, random",
        ),
        contract(
            "def _f(self) -> None:\n    os.getpid()\n    random.random()",
            before="import os\nclass random:\n    random = str",
        ),
    ),
    "GL508": (
        contract("def _f(self) -> object: return gl.nondet.exec_prompt('x', respose_format='json')  #! GL508"),
        contract("def _f(self, **more) -> object: return gl.nondet.exec_prompt('x', response_format='json', **more)"),
    ),
    "GL509": (
        contract(
            "@gl.public.write\ndef f(self) -> None:\n    def leader() -> str:\n"
            "        answer = gl.nondet.exec_prompt('x', response_format='json')\n"
            "        return json.loads(answer)['a']  #! GL509\n    gl.eq_principle.strict_eq(leader)\n"
            "    gl.eq_principle.strict_eq(\n"
            "        lambda: json.loads(gl.nondet.exec_prompt('x', response_format='json'))  #! GL509\n    )",
            before="import json",
        ),
        contract(
            "@gl.public.write\ndef f(self) -> None:\n    def leader() -> str:\n"
            "        answer = gl.nondet.exec_prompt('x', response_format='json')\n"
            "        data = json.loads(answer) if isinstance(answer, str) else answer\n"
            "        return data['a'] + json.loads(gl.nondet.exec_prompt('y'))['b']\n"
            "    gl.eq_principle.strict_eq(leader)",
            before="import json",
        ),
    ),
    # --- names
    "GL601": (
        contract(
            "@gl.public.write\ndef f(self, a: Address) -> None:\n    gl.get_contract_at(a).emit(gas=3)  #! GL601\n"
            "    gl.get_webpage('x')  #! GL601\n    raise Rollback('x')  #! GL601\n"
            "@gl.public.view\ndef g(self) -> Address: return gl.message.sender_account  #! GL601",
            before="import genlayer.std  #! GL601",
        ),
        contract("def _f(self) -> None:\n    raise Rollback('x')", before="class Rollback(Exception): ..."),
    ),
    "GL602": (
        contract(
            each(
                "gl.vm.Foo  #! GL602",
                "proxy = gl.get_contract_at(self.address)\n    proxy.send('x')  #! GL602",
                "gl.nondet.web.put('x')  #! GL602",
                "gl.message_raw['time']  #! GL602",
            )
        ),
        contract("def _f(self) -> None:\n    gl.vm.Return\n    gl.message_raw['datetime']\n    gl.vm.__name__"),
    ),
    "GL603": (
        contract(
            each(
                "gl.vm.run_nondet_unsafe(leader_fn=lambda: 1, validator_fn=lambda r: True)  #! GL603",
                "gl.get_contract_at(self.address).emit_transfer(5)  #! GL603",
                "gl.get_contract_at(self.address).emit_transfer()  #! GL603",
                "there = gl.get_contract_at(self.address)\n    there.emit(u256(5)).m0()  #! GL603",
                "raise gl.vm.UserError('a', 'b')  #! GL603",
                "gl.deploy_contract(b'')  #! GL603",
                "gl.eq_principle.prompt_non_comparative(lambda: 'x', 'task', criteria='c')  #! GL603",
                "gl.vm.spawn_sandbox(lambda: 1, write=True)  #! GL603",
                "gl.eq_principle.strict_eq.lazy()  #! GL603",
            ),
        ),
        contract(
            "@gl.public.write\ndef f(self, *, to: Address) -> None:\n    more = {'on': 'accepted'}\n"
            "    gl.get_contract_at(to).emit(value=u256(0), **more).f()\n    args = (lambda: 1, lambda r: True)\n"
            "    gl.vm.run_nondet(*args, compare_user_errors=lambda a, b: True)\n"
            "    gl.trace('a', 'b', sep='-')\n    Erc(to).emit_transfer()\n    raise gl.vm.UserError(message='x')",
            before="@gl.evm.contract_interface\nclass Erc:\n    class View: ...\n    class Write: ...",
        ),
    ),
    # --- events and versions
    "GL701": (
        contract("@gl.public.write\ndef f(self) -> None: Moved(u8(1)).emit()  #! GL701", before=_BLOCK_BEFORE).replace(
            "v0.2.16", "v0.1.4"
        ),
        contract("def _f(self) -> None: Moved(u8(1)).emit()", before=_BLOCK_BEFORE).replace("v0.2.16", "v0.1.5"),
    ),
    "GL702": (
        contract("@gl.public.write\ndef f(self) -> None: gl.trace('x')  #! GL702").replace("v0.2.16", "v0.1.9"),
        contract("def _f(self) -> None: gl.trace('x')").replace("v0.2.16", "v0.1.10"),
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
            each("E(u8(1), u8(2), u8(3), u8(4)).emit()"),
            before="class E(gl.Event):\n    def __init__(self, a: u8, b: u8, c: u8, d: u8, /): ...  #! GL705",
        ),
        contract(
            each("E(u8(1), u8(2), u8(3)).emit()"),
            before="class E(gl.Event):\n    def __init__(self, a: u8, b: u8, c: u8, /): ...",
        ),
    ),
    # --- sandbox
    "GL801": (
        contract(
            "x: u8",
            before="import requests  #! GL801\nfrom web3 import Web3  #! GL801\nimport distutils.util  #! GL801\n"
            "import tkinter.ttk  #! GL801\nfrom genlayer_embeddings import VecDB  #! GL801",
        ),
        contract(
            "x: u8",
            before="import json, os.path\nfrom xml.etree import ElementTree\nimport cloudpickle\n\n"
            "try:\n    import requests\nexcept ImportError:\n    pass\n\n"
            "if typing.TYPE_CHECKING:\n    import pandas",
            imports="import typing\nfrom genlayer import *\n",
        ),
    ),
    "GL802": (
        contract("x: u8", before="import socket  #! GL802\nfrom urllib import parse, request  #! GL802"),
        contract("x: u8", before="import select\nfrom urllib.parse import urlsplit\nimport http"),
    ),
    "GL803": (
        contract(
            each(
                "open('prices.json')  #! GL803",
                "open('/contract.py', 'a')  #! GL803",
                "open('x', mode='w')  #! GL803",
                "pathlib.Path('x').write_text('y')  #! GL803",
                "pathlib.Path('../tmp/x').read_text()  #! GL803",
            ),
            before="import pathlib",
        ),
        contract(
            each("open('/contract.py')", "open('contract.py', 'rb')", "pathlib.Path('contract.py').read_text()"),
            before="import pathlib",
        ),
    ),
    "GL804": (
        contract(
            each(
                "time.sleep(1)  #! GL804",
                "input()  #! GL804",
                "asyncio.run(_later())  #! GL804",
                "subprocess.run(['ls'])  #! GL804",
                "os.system('ls')  #! GL804",
            ),
            before="import asyncio, os, subprocess, time\n\nasync def _later() -> None: ...",
        ),
        contract(each("time.time()", "os.getpid()"), before="import os, time"),
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
    "GL310 star import of another module": contract(
        "LIMIT: ClassVar[int] = 5\nx: u8", before="from collections import *"
    ),
    "GL311 self of another class": contract(
        "a: TreeMap[str, u8]\ndef _f(self) -> None:\n    class Seen:\n        def __init__(self) -> None:\n"
        "            self.a = {}\n    Seen()"
    ),
    "GL313 self of another class": contract(
        "a: u8\ndef _f(self) -> None:\n    class Seen:\n        def __init__(self) -> None:\n            self.b = 1\n"
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
        "def _f(self, key: str) -> None:\n    secrets.compare_digest(key, 'x')\n    random.Random(7).random()\n"
        "    random.seed(7)\n    datetime.datetime.now(datetime.UTC)\n    time.time()",
        before="import datetime, random, secrets, time",
    ),
    "GL601 star import": contract("def _f(self) -> None: raise Rollback('x')", before="from logging import *"),
    "GL601 emit of something else": contract(
        "def _f(self, out: Log) -> None: out.emit(code=3)", before="from logging import Logger as Log"
    ),
    "GL601 asked for": contract(
        "def _f(self) -> None:\n    if hasattr(gl, 'get_webpage'):\n        gl.get_webpage('x')\n    try:\n"
        "        gl.call_llm('x')\n    except AttributeError:\n        pass\n    try:\n        gl.exec_prompt('x')\n"
        "    except (NameError, AttributeError):\n        pass"
    ),
    "GL201 a base by another name": HEADER
    + "from genlayer import *\n\nBase = gl.Contract\n\nclass C(Base):\n    x: u8\n",
    "GL201 a base from its module": HEADER
    + "from genlayer import *\nfrom genlayer.gl.genvm_contracts import Contract\n\nclass C(Contract):\n    x: u8\n",
    "GL207 types of local variables": contract(
        "def _f(self) -> None:\n    x: u8 = 1", imports="from genlayer import gl\n"
    ),
    "GL208 imported again": contract("x: u8", imports="import genlayer as gl\nfrom genlayer import *\n"),
    "GL310 assigned anyway": contract(
        "a: u8 = u8(5)\nb: Address = Address(b'\\0' * 20)\ndef __init__(self) -> None: self.a = u8(5)"
    ),
    "GL311 an empty dict has no items": contract("a: DynArray[u8]\ndef __init__(self) -> None: self.a = {}"),
    "GL316 stored before": contract(
        "a: TreeMap[str, DynArray[u8]]\nb: TreeMap[str, TreeMap[str, DynArray[u8]]]\n"
        + each(
            "self.a.setdefault('k', [])\n    self.a.get('k', []).append(u8(1))",
            "m = self.b.get_or_insert_default('k')\n    m['l'] = []\n    m.get('l', []).append(u8(1))",
            "for k in self.a.keys():\n        self.a.get(k, []).append(u8(1))",
        )
    ),
    "GL317 bound by another function": contract(
        "a: u8\n"
        + each("x = 0.5\n    def set() -> None:\n        nonlocal x\n        x = 2\n    set()\n    self.a = x")
    ),
    "GL319 a default apart from its type": contract(
        "x: u8",
        before="from dataclasses import dataclass\n\n@dataclass\nclass D:\n    a: int = 1\n    b: int\n    b = 2",
    ),
    "GL413 a type that a decorator makes": contract(
        "@kind\ndef list(self) -> int: return 1\n@gl.public.view\ndef g(self) -> list[int]: return [1]",
        before="def kind(f):\n    return DynArray",
    ),
    "GL316 stored afterwards": contract(
        "a: TreeMap[str, DynArray[u8]]\nb: TreeMap[str, DynArray[u8]]\n"
        + each(
            "x = self.a.get('k', [])\n    x.append(u8(1))\n    self.a['k'] = x",
            "x = self.b.get('k', [])\n    x.append(u8(1))\n    return x",
            "self.b.setdefault('k', [])\n    if 'k' in self.b:\n        self.b.get('k', []).append(u8(1))",
        ).replace("m1(self) -> None", "m1(self) -> list[int]")
    ),
    "GL414 called by its name": contract(
        "def one(self) -> int: return 1\ndef _f(self, n: str) -> int: return getattr(self, n)()"
    ),
    "GL502 the balance in a sandbox": contract(each("gl.vm.spawn_sandbox(lambda: self.balance)")),
    "GL601 never at run time": contract(
        "x: u8",
        before="import typing\n\nif typing.TYPE_CHECKING:\n    import genlayer.std\n\n"
        "if __name__ == '__main__':\n    gl.call_llm('x')",
    ),
    "GL602 helpers that are not exported": contract(
        "def _f(self) -> object: return gl.vm.gl_call, gl.vm.Lazy, gl.nondet._decode_nondet"
    ),
    "GL602 of a NamedTuple": contract("def _f(self) -> object: return gl.message._asdict(), gl.message._fields"),
}

_HIDES = "@gl.public.view\ndef str(self) -> str: return 'a'\n"
_SETS = "@gl.public.view\ndef f(self) -> None:\n    "

#: More that is found, by what it is about.
FOUND: dict[str, str] = {
    "GL413 type of a parameter": contract(_HIDES + "@gl.public.view\ndef g(self, a: str) -> int: return 1  #! GL413"),
    "GL413 type of a field": contract(_HIDES + "x: str  #! GL413"),
    "GL413 type of a field as a text": contract(
        "x: str  #! GL413\n" + _HIDES, imports="from __future__ import annotations\nfrom genlayer import *\n"
    ),
    "GL303 beside a method of that name": contract(
        "x: list[u8]  #! GL303\n@gl.public.view\ndef list(self) -> int: ..."
    ),
    "GL416 in a message": contract(
        each(
            "gl.get_contract_at(self.address).emit().one()  #! GL416",
            "gl.get_contract_at(self.address).emit().m9()  #! GL416",
        )
        + "def one(self) -> None: ..."
    ),
    "GL310 an address": contract("a: Address = Address('0x0000000000000000000000000000000000000001')  #! GL310"),
    "GL001 a NUL byte": contract("x: u8") + "\n# \0  #! GL001\n",
    "GL801 a module beside": contract("x: u8", before="from helpers import add  #! GL801"),
    "GL801 a relative import": contract("x: u8", before="from .helpers import add  #! GL801"),
    "GL308 in memory": contract(
        each("gl.storage.inmem_allocate(TreeMap[str, R])  #! GL308"), before="class R:\n    a: u8"
    ),
    "GL301 in a record that is not marked": contract(
        "x: DynArray[R]  #! GL308", before="class R:\n    a: int  #! GL301"
    ),
    "GL301 in the base of a record": contract(
        "x: R", before="class B:\n    a: int  #! GL301\n\n@allow_storage\nclass R(B):\n    b: u8"
    ),
    "GL308 in a container of Python": contract("x: dict[str, R]  #! GL303 GL308", before="class R:\n    a: u8"),
}

#: What fails if it happens, which is not certain.
DOUBTFUL: dict[str, str] = {
    "GL408 under a condition": contract("a: u8\n" + _SETS + "if self.a == 1:\n        self.a = u8(2)  #! GL408"),
    "GL408 in a try": contract(
        "a: u8\n" + _SETS + "try:\n        self.a = u8(2)  #! GL408\n    except Exception:\n        pass"
    ),
    "GL408 where the key may be there": contract(
        "a: TreeMap[str, DynArray[u8]]\n" + _SETS + "print(len(self.a.get_or_insert_default('k')))  #! GL408"
    ),
    "GL601 in a try": contract(
        "@gl.public.write\ndef f(self) -> None:\n    try:\n        gl.get_webpage('x')  #! GL601\n"
        "    except Exception:\n        pass\n    if self.balance > 5:\n        raise Rollback('x')  #! GL601"
    ),
    "GL601 in a function that nothing calls": contract(
        "x: u8", before="def _old(x: str) -> str:\n    return gl.exec_prompt(x)  #! GL601"
    ),
    "GL501 under a condition": contract(
        "@gl.public.write\ndef f(self) -> str:\n    return gl.nondet.exec_prompt('x') if self.balance else ''  #! GL501"
    ),
    "GL301 in a record without a layout": contract("x: u8", before="@allow_storage\nclass R:\n    a: int  #! GL301"),
    "GL310 what may be zero": contract("a: u8 = ZERO  #! GL310", before="ZERO = u8(0)"),
    "GL316 what another method fills": contract(
        "a: TreeMap[str, DynArray[u8]]\ndef __init__(self) -> None:\n    self.a['k'] = []\n"
        + each("self.a.setdefault('k', []).append(u8(1))  #! GL316")
    ),
    "GL705 an event that is not sent": contract(
        "x: u8", before="class E(gl.Event):\n    def __init__(self, a: u8, b: u8, c: u8, d: u8, /): ...  #! GL705"
    ),
    "GL801 in a try": contract("x: u8", before="try:\n    import requests  #! GL801\nexcept Exception:\n    pass"),
    "GL804 a thread": contract(each("threading.Thread(target=print)  #! GL804"), before="import threading"),
}
