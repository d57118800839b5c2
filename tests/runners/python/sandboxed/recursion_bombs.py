"""Ways to recurse without end: `main(limit)` sets off each, and says how it ended."""

import sys

DEPTH = 100_000


def nested(make, depth=DEPTH):
    value = make(None)
    for _ in range(depth):
        value = make(value)
    return value


def plain_recursion():
    def deeper(n):
        return deeper(n + 1)

    deeper(0)


def slot(name):
    def bomb():
        special = {
            "__float__": float,
            "__repr__": repr,
            "__hash__": hash,
            "__len__": len,
            "__bool__": bool,
            "__iter__": list,
            "__index__": hex,
            "__neg__": lambda item: -item,
            "__str__": str,
            "__format__": format,
        }[name]
        Bomb = type("Bomb", (), {name: lambda self, *rest: special(self)})
        special(Bomb())

    return bomb


def operators():
    class Bomb:
        def __mul__(self, other):
            return self * other

        def __eq__(self, other):
            return [self] == [other]

        def __getattr__(self, name):
            return getattr(self, name + "x")

        def __contains__(self, item):
            return item in self

        def __lt__(self, other):
            return sorted([self, other])

        __hash__ = None

    ended = set()
    for use in (
        lambda: Bomb() * 1,
        lambda: Bomb() == Bomb(),
        lambda: Bomb().x,
        lambda: 1 in Bomb(),
        lambda: Bomb() < Bomb(),
    ):
        try:
            use()
        except RecursionError:
            ended.add("RecursionError")
    assert ended == {"RecursionError"}
    raise RecursionError


def callbacks():
    import functools
    import re

    functions = [
        lambda n: list(map(functions[0], [n])),
        lambda n: sorted([n, n], key=functions[1]),
        lambda n: re.sub("a", lambda match: str(functions[2](n)), "a"),
        lambda n: functools.reduce(lambda a, b: functions[3](n), [1, 2]),
        functools.lru_cache(lambda n: functions[4](n + 1)),
        functools.partial(lambda n, *rest: functions[5](n), 1),
    ]
    for function in functions:
        try:
            function(1) if function is not functions[5] else function()
        except RecursionError:
            continue
        raise AssertionError("it came back")
    raise RecursionError


def generators():
    def deeper():
        yield from deeper()

    next(deeper())


def await_chain():
    async def deeper():
        await deeper()

    deeper().send(None)


def classes():
    class Meta(type):
        def __instancecheck__(cls, item):
            return isinstance(item, cls)

    isinstance(1, Meta("Bomb", (), {}))


def descriptors():
    class Bomb:
        @property
        def value(self):
            return self.value

    Bomb().value  # noqa: B018


def imports():
    class Finder:
        def find_spec(self, name, path=None, target=None):
            __import__(name + "x")

    sys.meta_path.insert(0, Finder())
    try:
        __import__("bomb")
    finally:
        del sys.meta_path[0]


def repr_of_lists():
    repr(nested(lambda value: [value]))


def repr_of_dicts():
    repr(nested(lambda value: {1: value}))


def repr_of_partials():
    import functools

    repr(nested(lambda value: functools.partial(functools.partial, value)))


def comparison():
    assert nested(lambda value: [value], 10_000) == nested(lambda value: [value], 10_000)


def instance_of_tuples():
    isinstance(1, nested(lambda value: (value,) if value else (int,)))


def json_loads():
    import json

    json.loads("[" * DEPTH)


def json_dumps():
    import json

    json.dumps(nested(lambda value: [value]))


def json_dumps_in_python():
    import json

    json.dumps(nested(lambda value: [value]), indent=1)


def pickle_dumps():
    import pickle

    pickle.dumps(nested(lambda value: [value]))


def pickle_dumps_in_python():
    import pickle

    pickle._dumps(nested(lambda value: [value], 5000))


def cloudpickle_dumps():
    import cloudpickle

    cloudpickle.dumps(nested(lambda value: [value]))


def marshal_dumps():
    import marshal

    marshal.dumps(nested(lambda value: (value,)))


def marshal_loads():
    import marshal

    marshal.loads(b"(\x01\0\0\0" * DEPTH)


def deep_copy():
    import copy

    copy.deepcopy(nested(lambda value: [value], 5000))


def parse_parentheses():
    eval("(" * DEPTH + ")" * DEPTH)


def parse_minus():
    eval("-" * DEPTH + "1")


def parse_not():
    eval("not " * DEPTH + "1")


def parse_lambda():
    eval("lambda:" * DEPTH + "1")


def parse_blocks():
    exec("".join(" " * depth + "if 1:\n" for depth in range(2000)))


def parse_formatted():
    eval("f'{" * 200 + "1" + "}'" * 200)


def compile_sum():
    eval("+".join(["1"] * DEPTH))


def compile_attributes():
    eval("a" + ".a" * DEPTH)


def compile_tree():
    import ast

    position = {"lineno": 1, "col_offset": 1}
    tree = nested(lambda value: ast.UnaryOp(ast.USub(), value or ast.Constant(1, **position), **position))
    compile(ast.Expression(tree), "", "eval")


def literal_eval():
    import ast

    ast.literal_eval("[" * DEPTH)


def compile_pattern():
    import re

    re.compile("(" * 5000 + ")" * 5000)


def nested_format():
    "".join(("{:{:{}}}",)).format(1, 2, 3)


def exception_chain():
    error = nested(lambda value: _caused(value), 20_000)
    import traceback

    assert len(traceback.format_exception(error)) > 10_000
    raise RecursionError


def _caused(cause):
    error = ValueError()
    error.__cause__ = cause
    return error


def exception_groups():
    import traceback

    group = nested(lambda value: ExceptionGroup("g", [value or ValueError()]), 20_000)
    assert len("".join(traceback.format_exception(group))) > 1000
    group.split(KeyError)


def element_tree():
    import xml.etree.ElementTree as tree

    root = tree.fromstring("<a>" * 50_000 + "</a>" * 50_000)
    tree.tostring(root)


def calldata_encode():
    from genlayer.py import calldata

    calldata.encode(nested(lambda value: [value]))


def calldata_decode():
    from genlayer.py import calldata

    calldata.decode(b"\x0d" * DEPTH + b"\0")


def deallocation():
    class Node:
        pass

    chain = nested(lambda value: _linked(Node(), value), 200_000)
    every = [nested(lambda value: (value,), 200_000), nested(lambda value: {1: value}), nested(lambda value: [value])]
    del chain, every
    raise RecursionError


def _linked(node, following):
    node.following = following
    return node


BOMBS = [
    *(plain_recursion, operators, callbacks, generators, await_chain, classes, descriptors, imports, repr_of_lists),
    *(repr_of_dicts, repr_of_partials, comparison, instance_of_tuples, json_loads, json_dumps, json_dumps_in_python),
    *(pickle_dumps, pickle_dumps_in_python, cloudpickle_dumps, marshal_dumps, marshal_loads, deep_copy),
    *(parse_parentheses, parse_minus, parse_not, parse_lambda, parse_blocks, parse_formatted, compile_sum),
    *(
        compile_attributes,
        compile_tree,
        literal_eval,
        compile_pattern,
        nested_format,
        exception_chain,
        exception_groups,
    ),
    *(element_tree, calldata_encode, calldata_decode, deallocation),
]
SLOTS = [
    "__float__",
    "__repr__",
    "__hash__",
    "__len__",
    "__bool__",
    "__iter__",
    "__index__",
    "__neg__",
    "__str__",
    "__format__",
]


def main(names, limit):
    bombs = {bomb.__name__: bomb for bomb in BOMBS} | {name: slot(name) for name in SLOTS}
    before = sys.getrecursionlimit()
    ends = {}
    for name in names or bombs:
        sys.setrecursionlimit(limit or before)
        try:
            bombs[name]()
            ends[name] = "nothing"
        except Exception as error:
            ends[name] = type(error).__name__
        finally:
            sys.setrecursionlimit(before)
    return ends
