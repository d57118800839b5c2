"""Arguments of a call against what the method takes: in words, before anything is run (spec sdk/03 §4).

The contract's schema decides. What can be read in the source only tells whether it is worth a run to ask for it.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pygenvm.executor.frozen import Frozen, fresh
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.terminal_text import visible
from pygenvm.localnet import values
from pygenvm.localnet.errors import BadValue
from pygenvm.localnet.schema import parameters_text, type_text
from pygenvm.localnet.sources import Source
from pygenvm.localnet.values import SchemaType, Value

if TYPE_CHECKING:
    import ast

    from pygenvm.localnet.chain.hints import Explanation
else:
    # What is around it takes as long to load as all arguments of a command to be looked at.
    import _ast as ast

_SHOWN_CHARACTERS = 60
_SAID_CHARACTERS = 1_000
_DIGITS = r"-?[0-9]+"
#: Annotations whose schema is certain, however they are imported.
_WRITTEN: Mapping[str, SchemaType] = {
    "int": "int",
    "bigint": "int",
    **{f"{sign}{bits}": "int" for sign in "ui" for bits in range(8, 257, 8)},
    "str": "string",
    "bool": "bool",
    "bytes": "bytes",
    "Address": "address",
    "dict": "dict",
}
_CONTRACT_BASE = "gl.Contract"
_PUBLIC = "gl.public."


class Signature(metaclass=Frozen):
    """What a method takes. ``required`` are the parameters that are known to have no default, which schemas do not
    say."""

    params: Sequence[tuple[str, SchemaType]] = ()
    kwparams: Mapping[str, SchemaType] = fresh(factory=dict)
    required: frozenset[str] = frozenset()

    @classmethod
    def of_schema(cls, document: Mapping[str, Any], required: frozenset[str] = frozenset()) -> Signature:
        """Of a method in a schema."""
        params = [(name, of) for name, of in document.get("params", ())]
        return cls(params, document.get("kwparams", {}), required)

    @property
    def text(self) -> str:
        """``(to: address, amount: int)``."""
        return f"({parameters_text({'params': self.params, 'kwparams': self.kwparams})})"


class Misfit(metaclass=Frozen):
    """What is wrong with the arguments of a call. ``fix`` is in the notation of :mod:`localnet.values`."""

    text: str
    fix: str


def misfit(method: str, args: Sequence[Value], kwargs: Mapping[str, Value], signature: Signature) -> Misfit | None:
    """The first thing that is wrong; None if everything fits."""
    return next(_misfits(method, args, kwargs, signature), None)


def surely_fits(source: Source, method: str, args: Sequence[Value], kwargs: Mapping[str, Value]) -> bool:
    """Whether one can read in the source that the arguments fit. Where it cannot be read, none do."""
    written = written_signature(source, method)
    return not (args or kwargs) if written is None else misfit(method, args, kwargs, written) is None


def check_arguments(
    source: Source, method: str, args: Sequence[Value], kwargs: Mapping[str, Value], document: Mapping[str, Any]
) -> None:
    """:raises BadValue: the arguments do not fit the method, whose schema is ``document``."""
    written = written_signature(source, method)
    found = misfit(method, args, kwargs, Signature.of_schema(document, written.required if written else frozenset()))
    if found:
        at = source.method(method)
        place = (f"{source.shown(at[0])}:{at[1]}", f"    {source.line(*at).strip()}") if at else ()
        raise BadValue(found.text, picture=place, fix=found.fix)


def explain_arguments(
    source: Source,
    method: str,
    args: Sequence[Value],
    kwargs: Mapping[str, Value],
    document: Mapping[str, Any],
    stderr: str,
) -> Explanation | None:
    """The explanation of a failure where the arguments do not fit the method, whose schema is ``document``."""
    from pygenvm.localnet.chain.hints import Explanation
    from pygenvm.localnet.tracebacks import take_apart

    _, traceback = take_apart(stderr)
    said = traceback.first_line[:_SAID_CHARACTERS] if traceback else ""
    missing = re.search(rf"\.{re.escape(method)}\(\) missing .*: (.*)", said)
    required = frozenset(re.findall(r"'(\w+)'", missing[1])) if missing else frozenset[str]()
    signature = Signature.of_schema(document, required)
    found = misfit(method, args, kwargs, signature) if document else None
    return Explanation(f"{found.text}.", f"Call it with {signature.text}.") if found else None


def _misfits(method: str, args: Sequence[Value], kwargs: Mapping[str, Value], signature: Signature) -> Iterator[Misfit]:
    params = signature.params
    takes = f"`{method}` takes {signature.text}"
    if len(args) > len(params):
        surplus = len(args) - len(params)
        yield Misfit(
            f"{takes}, and was given {_count(len(args))}",
            f"Leave out the last {surplus if surplus > 1 else 'one'}"
            + (f", or give {', '.join(signature.kwparams)} by name, in --kwargs." if signature.kwparams else "."),
        )
    names = [name for name, _ in params]
    known = [*names, *signature.kwparams]
    for name in kwargs:
        if name not in known:
            import difflib

            close = difflib.get_close_matches(name, known, 1)
            fix = f"Did you mean `{close[0]}`?" if close else "Leave it out."
            yield Misfit(f"{takes}, and no `{name}`", fix)
        elif name in names[: len(args)]:
            yield Misfit(f"`{name}` of `{method}` is given twice, by place and by name", "Leave one of them out.")
    for name in known:
        if name in signature.required and name not in kwargs and name not in names[: len(args)]:
            yield Misfit(f"`{name}` is missing: {takes}", _add(name, names, len(args)))
    types = {**dict(params), **signature.kwparams}
    given = [*zip(names, args, strict=False), *((name, value) for name, value in kwargs.items() if name in types)]
    for name, value in given:
        if wrong := _wrong(value, types[name], ""):
            where, wanted, found = wrong
            yield Misfit(
                f"`{name}{where}` of `{method}` wants `{type_text(wanted)}`, and was given {_described(found)}",
                _correction(found, wanted),
            )


def _add(name: str, names: Sequence[str], count: int) -> str:
    if name not in names or names.index(name) != count:
        return f"Give it by name: --kwargs '{{\"{name}\": …}}'."
    return "Give it as the next item of --args." if count else "Give it in --args: a JSON array with all arguments."


def _wrong(value: Value, of: SchemaType, where: str) -> tuple[str, SchemaType, Value] | None:
    """Where in a value, such as ``[2].name``, what type is wanted, and what is there instead; None if it fits."""
    match of:
        case "any":
            return None
        case {"$or": [*options]}:
            return None if any(_wrong(value, option, where) is None for option in options) else (where, of, value)
        case {"$dict": inner} if isinstance(value, dict):
            found = (_wrong(item, inner, f"{where}[{json.dumps(key)}]") for key, item in value.items())
            return next(filter(None, found), None)
        case [{"$rep": inner}] if isinstance(value, list):
            found = (_wrong(item, inner, f"{where}[{index}]") for index, item in enumerate(value))
            return next(filter(None, found), None)
        case list() if isinstance(value, list) and len(value) == len(of):
            pairs = enumerate(zip(value, of, strict=True))
            return next(
                filter(None, (_wrong(item, inner, f"{where}[{index}]") for index, (item, inner) in pairs)), None
            )
        case list() | {"$dict": _}:
            return where, of, value
        case dict() if isinstance(value, dict):
            found = (_wrong(item, of[key], f"{where}.{key}") for key, item in value.items() if key in of)
            return next(filter(None, found), None)
        case dict():
            return where, of, value
    return None if of not in _KINDS or _kind(value) == of else (where, of, value)


_KINDS = frozenset({"null", "bool", "int", "string", "bytes", "address", "dict", "array"})


def _kind(value: Value) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            return "int"
        case str():
            return "string"
        case bytes():
            return "bytes"
        case Address():
            return "address"
        case Mapping():
            return "dict"
    return "array"


def _described(value: Value) -> str:
    shown = json.dumps(values.to_json(value), ensure_ascii=False)
    shown = shown if len(shown) <= _SHOWN_CHARACTERS else shown[:_SHOWN_CHARACTERS] + "…"
    what = {"string": "the string ", "int": "the integer ", "dict": "the object ", "array": "the array "}
    return f"{what.get(_kind(value), '')}{shown}"


def _correction(value: Value, wanted: SchemaType) -> str:
    options = wanted["$or"] if isinstance(wanted, dict) and "$or" in wanted else [wanted]
    for option in options:
        match option, value:
            case "int", str() if re.fullmatch(_DIGITS, value):
                return f"Write {value[:_SHOWN_CHARACTERS]} without quotes."
            case "int", _:
                return "Write a whole number."
            case "string", int() if not isinstance(value, bool):
                return f'Write "{value}", with quotes.'
            case "string", _:
                return 'Write a text in double quotes: "…".'
            case "address", str():
                return (
                    f'Write "0x…" with 40 hex digits, or {{"$addr": {json.dumps(value)[:_SHOWN_CHARACTERS]}}} for an'
                    " account or contract of that name."
                )
            case "address", _:
                return 'Write "0x…" with 40 hex digits, or {"$addr": "NAME"}.'
            case "bytes", _:
                return 'Write {"$bytes": "0x…"}.'
            case "bool", _:
                return "Write true or false."
            case [{"$rep": _}] | "array", _:
                return "Write an array: […]."
            case list(), _:
                return f"Write an array of {_count(len(option), 'item')}."
            case dict() | "dict", _:
                return "Write an object: {…}."
    return "Write a value of that type."


def _count(number: int, noun: str = "argument") -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# --- what the source says ---------------------------------------------------------------------------


def written_signature(source: Source, method: str) -> Signature | None:
    """What a public method, or ``__init__``, takes, as far as one can read it; None if it is not certain."""
    found = [one for text in source.files.values() for one in _definitions(text, method)]
    if len(found) != 1 or found[0].args.vararg or found[0].args.kwarg:
        return None
    positional = [*found[0].args.posonlyargs, *found[0].args.args][1:]
    defaults = len(found[0].args.defaults)
    required = {parameter.arg for parameter in positional[: len(positional) - defaults]}
    named = zip(found[0].args.kwonlyargs, found[0].args.kw_defaults, strict=True)
    required |= {parameter.arg for parameter, default in named if default is None}
    try:
        params = [(parameter.arg, _written_type(parameter.annotation)) for parameter in positional]
        kwparams = {parameter.arg: _written_type(parameter.annotation) for parameter in found[0].args.kwonlyargs}
    except KeyError:
        return None
    return Signature(params, kwparams, frozenset(required))


def written_parameters(source: Source, methods: Iterable[str]) -> dict[str, dict[str, tuple[str, str | None]]]:
    """Annotation and default, as they are written, of each parameter of public methods or ``__init__``; None is no
    default. Methods about which one cannot be certain are left out."""
    found: dict[str, list[ast.FunctionDef]] = {method: [] for method in methods}
    for text in source.files.values():
        for one in _all_definitions(text):
            if one.name in found:
                found[one.name].append(one)
    certain = {method: ones[0].args for method, ones in found.items() if len(ones) == 1}
    return {method: dict(_parameters(args)) for method, args in certain.items() if not (args.vararg or args.kwarg)}


def _parameters(args: ast.arguments) -> Iterator[tuple[str, tuple[str, str | None]]]:
    positional = [*args.posonlyargs, *args.args]
    defaults = [*[None] * (len(positional) - len(args.defaults)), *args.defaults, *args.kw_defaults]
    for parameter, default in list(zip([*positional, *args.kwonlyargs], defaults, strict=True))[1:]:
        annotation = "" if parameter.annotation is None else _written(parameter.annotation)
        yield parameter.arg, (annotation, None if default is None else _written(default))


def _written(expression: ast.expr) -> str:
    try:
        text = _text(expression)
    except RecursionError:
        return "…"
    return visible(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


def _definitions(text: str, method: str) -> Iterator[ast.FunctionDef]:
    return (one for one in _all_definitions(text) if one.name == method)


def _all_definitions(text: str) -> Iterator[ast.FunctionDef]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree: ast.Module = compile(text, "", "exec", ast.PyCF_ONLY_AST)  # type: ignore[assignment]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(_text(base) == _CONTRACT_BASE for base in node.bases):
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and all(
                    _text(decorator).startswith(_PUBLIC) for decorator in item.decorator_list
                ):
                    yield item


def _text(expression: ast.expr) -> str:
    """:raises RecursionError: it is nested too deeply."""
    names, inner = [], expression
    while isinstance(inner, ast.Attribute):
        names.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        return ".".join((inner.id, *reversed(names)))
    from ast import unparse

    return unparse(expression)


def _written_type(annotation: ast.expr | None) -> SchemaType:
    """:raises KeyError: not one that is read here."""
    match annotation:
        case ast.Name(id=name):
            return _WRITTEN[name]
        case ast.Subscript(value=ast.Name(id="list"), slice=ast.expr() as item):
            return [{"$rep": _written_type(item)}]
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[ast.Name(id="str"), item])):
            return {"$dict": _written_type(item)}
        case ast.Attribute(value=ast.Name(id="typing"), attr="Any"):
            return "any"
    raise KeyError(annotation)
