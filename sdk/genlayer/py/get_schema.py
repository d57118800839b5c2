"""JSON schema of a contract (spec sdk/03 §4)."""

__all__ = ("get_schema",)

import collections.abc
import dataclasses
import inspect
import types
import typing

from ._internal.reflect import class_hints
from .storage import DynArray, TreeMap
from .types import Address

type Schema = str | dict[str, typing.Any] | list[typing.Any]

# Called by the boot module, never by name.
_HOOKS = ("__receive__", "__handle_undefined_method__")

_PRIMITIVES: dict[typing.Any, str] = {
    inspect.Parameter.empty: "any",
    None: "null",
    types.NoneType: "null",
    bool: "bool",
    int: "int",
    str: "string",
    bytes: "bytes",
    Address: "address",
    typing.Any: "any",
}

_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping, TreeMap)
_SEQUENCES = (list, collections.abc.Sequence, collections.abc.MutableSequence, DynArray)


def _schema_of(annotation: typing.Any) -> Schema:
    while isinstance(annotation, typing.NewType):
        annotation = annotation.__supertype__
    origin = typing.get_origin(annotation)
    if origin is None:
        return _schema_of_class(annotation)
    args = typing.get_args(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return {"$or": [_schema_of(arg) for arg in args]}
    if origin is typing.Literal:
        return "any"
    if origin is tuple:
        if len(args) == 2 and args[1] is ...:
            return [{"$rep": _schema_of(args[0])}]
        return [_schema_of(arg) for arg in args]
    if origin in _MAPPINGS and len(args) == 2:
        key, value = args
        assert key is str, f"dictionary can have only string keys, got {key}"
        return {"$dict": _schema_of(value)}
    if origin in _SEQUENCES and len(args) == 1:
        return [{"$rep": _schema_of(args[0])}]
    raise TypeError("type is not supported", annotation)


def _schema_of_class(annotation: typing.Any) -> Schema:
    try:
        known = _PRIMITIVES.get(annotation)
    except TypeError:  # not hashable
        known = None
    if known is not None:
        return known
    if typing.is_typeddict(annotation):
        return "dict"
    if isinstance(annotation, type):
        if issubclass(annotation, collections.abc.Sequence):
            return "array"
        if issubclass(annotation, collections.abc.Mapping):
            return "dict"
        if dataclasses.is_dataclass(annotation):
            hints = class_hints(annotation)
            return {field.name: _schema_of(hints[field.name]) for field in dataclasses.fields(annotation)}
    raise TypeError("type is not supported", annotation)


def _parameters(method: types.FunctionType) -> tuple[inspect.Signature, dict[str, typing.Any]]:
    signature = inspect.signature(method)
    hints = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    hints["return"] = signature.return_annotation
    if any(isinstance(hint, str) for hint in hints.values()):
        # string annotations: what inspect shows is not resolved
        hints.update(typing.get_type_hints(inspect.unwrap(method), include_extras=True))
    return signature, hints


def _method_schema(method: types.FunctionType, *, is_ctor: bool) -> dict[str, typing.Any]:
    signature, hints = _parameters(method)
    parameters = list(signature.parameters.values())
    if not parameters or parameters[0].name != "self":
        raise Exception("missing self")
    params: list[list[typing.Any]] = []
    kwparams: dict[str, Schema] = {}
    for parameter in parameters[1:]:
        name = parameter.name
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            params.append([name, _schema_of(hints[name])])
        elif parameter.kind == parameter.KEYWORD_ONLY:
            kwparams["$" + name if name.startswith("$") else name] = _schema_of(hints[name])
        else:
            raise TypeError(f"unsupported parameter type {parameter.kind.name} {parameter}")
    schema: dict[str, typing.Any] = {"params": params, "kwparams": kwparams}
    if is_ctor:
        return schema
    for key, attr in (("min_gas_leader", "__gl_min_gas_leader__"), ("min_gas_validator", "__gl_min_gas_validator__")):
        gas = getattr(method, attr, 0)
        if gas:
            schema[key] = gas
    readonly = getattr(method, "__gl_readonly__", False)
    schema["readonly"] = readonly
    schema["ret"] = _schema_of(hints["return"])
    if not readonly:
        schema["payable"] = getattr(method, "__gl_payable__", False)
    return schema


def _described(method: types.FunctionType, *, is_ctor: bool) -> dict[str, typing.Any]:
    try:
        return _method_schema(method, is_ctor=is_ctor)
    except Exception as exc:
        code = method.__code__
        place = {"file": code.co_filename, "line": code.co_firstlineno}
        raise Exception(f"couldn't get schema for method `{method}`", place) from exc


def _ctor_schema(cls: type) -> dict[str, typing.Any]:
    init: typing.Any = cls.__init__  # type: ignore[misc]
    if "__init__" not in cls.__dict__:
        if getattr(init, "__gl_no_constructor__", False):
            return {"params": [], "kwparams": {}}
        if not getattr(cls, "__gl_contract__", False):
            raise TypeError("__init__ is absent", cls)
    if not inspect.isfunction(init):
        raise TypeError("__init__ is not a function", init)
    if getattr(init, "__gl_public__", False):
        raise TypeError("__init__ must be private", init)
    return _described(init, is_ctor=True)


def get_schema(cls: type) -> dict[str, typing.Any]:
    """Constructor and public methods of a contract class, with their parameter and result types.

    Raises TypeError for names and constructors that are not allowed, Exception, with the cause attached, for a method
    whose types have no schema.
    """
    methods: dict[str, typing.Any] = {}
    ctor = _ctor_schema(cls)
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        if not getattr(method, "__gl_public__", False) or name == "__on_errored_message__" or name in _HOOKS:
            continue
        if name.startswith("__"):
            raise TypeError(f"public method names should not start with `__`, `{name}`")
        methods[name] = _described(method, is_ctor=False)
    return {"ctor": ctor, "methods": methods}
