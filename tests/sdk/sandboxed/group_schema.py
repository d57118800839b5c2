"""Schema JSON (spec sdk/03 §4)."""

# ruff: noqa: PT017  these functions run without pytest

import json

from harness import equal, raises

PRELUDE = """
from genlayer import *
import collections, dataclasses, enum, typing
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence, Callable
@dataclasses.dataclass
class D:
    a: u8
    s: 'str'
@dataclasses.dataclass
class G[T]:
    a: T
@allow_storage
@dataclasses.dataclass
class S:
    m: TreeMap[str, u8]
class N(typing.NamedTuple):
    a: int
class TD(typing.TypedDict):
    a: int
class E(enum.Enum):
    A = 1
class Plain: ...
type Alias = int
"""


def contract(body, prelude=""):
    """Contract class with a body, from a module of its own."""
    import sys
    import types

    import genlayer.gl.genvm_contracts as contracts

    contracts.__known_contract__ = None
    module = types.ModuleType("contract")
    sys.modules["contract"] = module
    lines = "\n".join("    " + line for line in body.splitlines())
    exec(compile(f"{prelude}{PRELUDE}\nclass C(gl.Contract):\n{lines}\n", "contract.py", "exec"), module.__dict__)
    return module.C


def schema(body, prelude=""):
    from genlayer.py.get_schema import get_schema

    return get_schema(contract(body, prelude))


def param(annotation, prelude=""):
    body = f"def __init__(self): ...\n@gl.public.view\ndef m(self, a: {annotation}): ..."
    return schema(body, prelude)["methods"]["m"]["params"][0][1]


def case_types():
    table = {
        "u256": "int", "bigint": "int", "None": "null", "type(None)": "null", "bool": "bool", "int": "int",
        "str": "string", "bytes": "bytes", "Address": "address", "list": "array", "tuple": "array",
        "bytearray": "array", "memoryview": "array", "range": "array", "N": "array", "DynArray": "array",
        "dict": "dict", "TD": "dict", "TreeMap": "dict", "collections.OrderedDict": "dict", "typing.Any": "any",
        "u8 | str": {"$or": ["int", "string"]}, "typing.Optional[str]": {"$or": ["string", "null"]},
        "typing.Union[str, int]": {"$or": ["string", "int"]}, "D": {"a": "int", "s": "string"},
        "dict[str, u8]": {"$dict": "int"}, "typing.Mapping[str, u8]": {"$dict": "int"},
        "MutableMapping[str, int | str | None]": {"$dict": {"$or": ["int", "string", "null"]}},
        "TreeMap[str, u8]": {"$dict": "int"}, "tuple[u8, ...]": [{"$rep": "int"}], "tuple[u8, str]": ["int", "string"],
        "tuple[()]": [], "list[u8]": [{"$rep": "int"}], "Sequence[u8]": [{"$rep": "int"}],
        "MutableSequence[u8]": [{"$rep": "int"}], "DynArray[u8]": [{"$rep": "int"}], "typing.Literal[1]": "any",
        "dict[str, u8] | list[Address]": {"$or": [{"$dict": "int"}, [{"$rep": "address"}]]}, 
        "S": {"m": {"$dict": "int"}},
    }  # fmt: skip
    for annotation, expected in table.items():
        equal((annotation, param(annotation)), (annotation, expected))


def case_unsupported_types():
    refused = (
        "float", "set", "object", "Callable", "Callable[[int], int]", "Alias", "typing.Annotated[int, 5]", "Plain", "E",
        "G[u8]", "Array[u8, typing.Literal[3]]", "typing.Sequence", "set[int]", "collections.deque[int]",
    )  # fmt: skip
    for annotation in refused:
        try:
            param(annotation)
        except Exception as exc:
            text, place = exc.args
            assert text.startswith("couldn't get schema for method `<function C.m at"), text
            equal((place["file"], type(exc.__cause__).__name__), ("contract.py", "TypeError"))
        else:
            raise AssertionError(f"{annotation} has a schema")
    try:
        param("dict[u8, str]")
    except Exception as exc:
        assert isinstance(exc.__cause__, AssertionError)
        assert str(exc.__cause__).startswith("dictionary can have only string keys, got ")
    else:
        raise AssertionError("int keys have a schema")


def case_string_annotations_are_resolved():
    equal(param("'TreeMap[str, u8]'"), {"$dict": "int"})
    equal(param("TreeMap[str, u8]", "from __future__ import annotations\n"), {"$dict": "int"})


def case_whole_schema():
    body = """
def __init__(self, foo, bar): ...
@gl.public.view
def foo(self): ...
@gl.public.write
def kw(self, *, x, y): ...
def hidden(self, f: float): ...
"""
    equal(
        json.dumps(schema(body)),
        json.dumps(
            {
                "ctor": {"params": [["foo", "any"], ["bar", "any"]], "kwparams": {}},
                "methods": {
                    "foo": {"params": [], "kwparams": {}, "readonly": True, "ret": "any"},
                    "kw": {
                        "params": [],
                        "kwparams": {"x": "any", "y": "any"},
                        "readonly": False,
                        "ret": "any",
                        "payable": False,
                    },
                },
            }
        ),
    )


def case_key_order_with_gas():
    body = """
def __init__(self, a: u256, *, b: str = 'x'): ...
@gl.public.write.min_gas(leader=100, validator=20).payable
def m(self, a, d: bytes | None = None) -> D: ...
@gl.public.write.min_gas(leader=0, validator=5)
def a(self, x, /): ...
"""
    got = schema(body)
    equal(json.dumps(got["ctor"]), '{"params": [["a", "int"]], "kwparams": {"b": "string"}}')
    equal(
        json.dumps(got["methods"]["m"], separators=(",", ":")),
        '{"params":[["a","any"],["d",{"$or":["bytes","null"]}]],"kwparams":{},"min_gas_leader":100,'
        '"min_gas_validator":20,"readonly":false,"ret":{"a":"int","s":"string"},"payable":true}',
    )
    equal(list(got["methods"]), ["a", "m"])
    equal(list(got["methods"]["a"]), ["params", "kwparams", "min_gas_validator", "readonly", "ret", "payable"])


def case_constructors():
    from genlayer.py.get_schema import get_schema

    empty = {"params": [], "kwparams": {}}
    equal(schema("x: u8")["ctor"], empty)

    class Absent: ...

    raises(TypeError, f"('__init__ is absent', {Absent!r})", get_schema, Absent)

    class NotFunction:
        __init__ = 5

    raises(TypeError, "('__init__ is not a function', 5)", get_schema, NotFunction)
    try:
        schema("@gl.public.write\ndef __init__(self): ...")
    except TypeError as exc:
        equal(exc.args[0], "__init__ must be private")
    else:
        raise AssertionError("public constructor")


def case_special_names():
    hooks = """
def __init__(self): ...
@gl.public.write.payable
def __receive__(self): ...
@gl.public.write
def __handle_undefined_method__(self, name, args, kwargs): ...
@gl.public.write
def __on_errored_message__(self): ...
@gl.public.view
def __mangled(self): ...
"""
    equal(list(schema(hooks)["methods"]), ["_C__mangled"])
    try:
        schema("def __init__(self): ...\n@gl.public.view\ndef __len__(self): ...")
    except TypeError as exc:
        equal(str(exc), "public method names should not start with `__`, `__len__`")
    else:
        raise AssertionError("special method in schema")


def case_parameters():
    ctor = "def __init__(self): ...\n@gl.public.view\n"
    causes = {
        "def m(this): ...": "missing self",
        "def m(self, *a): ...": "unsupported parameter type VAR_POSITIONAL *a",
        "def m(self, **k): ...": "unsupported parameter type VAR_KEYWORD **k",
    }
    for method, text in causes.items():
        try:
            schema(ctor + method)
        except Exception as exc:
            equal(str(exc.__cause__), text)
        else:
            raise AssertionError(method)


def case_json_text():
    cls = contract("def __init__(self): ...\n@gl.public.view\ndef größe(self) -> int: ...")
    equal(
        cls.__get_schema__(),
        '{"ctor":{"params":[],"kwparams":{}},'
        '"methods":{"gr\\u00f6\\u00dfe":{"params":[],"kwparams":{},"readonly":true,"ret":"int"}}}',
    )
