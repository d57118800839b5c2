"""The actions of a runner.json (spec executor/07 "runner.json")."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from executor.limits import RUNNER_JSON_BYTES_MAX, RUNNER_JSON_DEPTH_MAX
from executor.outcome import InvalidContract


@dataclass(frozen=True, slots=True)
class MapFile:
    """Map ``file``, or all files below it when it ends in ``/``, at ``to``."""

    to: str
    file: str


@dataclass(frozen=True, slots=True)
class AddEnv:
    """Set variable ``name`` to the template ``val``."""

    name: str
    val: str


@dataclass(frozen=True, slots=True)
class SetArgs:
    """Append to the argument list."""

    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Depends:
    """Run the runner.json of another runner, once per VM."""

    runner: str


@dataclass(frozen=True, slots=True)
class With:
    """Run ``action`` with another runner, or the contract, as the current one."""

    runner: str
    action: Action


@dataclass(frozen=True, slots=True)
class LinkWasm:
    """Instantiate a file of the current runner and register its exports."""

    file: str


@dataclass(frozen=True, slots=True)
class StartWasm:
    """Instantiate a file of the current runner as the program; ends all processing."""

    file: str


@dataclass(frozen=True, slots=True)
class When:
    """Run ``action`` only in VMs of one mode."""

    deterministic: bool
    action: Action


@dataclass(frozen=True, slots=True)
class Seq:
    """Run actions in order."""

    actions: tuple[Action, ...]


Action: TypeAlias = MapFile | AddEnv | SetArgs | Depends | With | LinkWasm | StartWasm | When | Seq

_CONDITIONS = {"det": True, "nondet": False}
# A string, closed or not (then it reaches the end, so that the scan stays linear), or a bracket.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.?)*+"?|[\[{]|[\]}]', re.DOTALL)


class _Object(list[tuple[str, Any]]):
    """A JSON object with its keys in order and possibly repeated."""


def parse_runner_json(data: bytes, where: str) -> Action:
    """Parse a runner.json; ``where`` begins the cause of an error.

    A repeated key is an error if it means something; unknown keys of an action's own object are ignored.

    :raises InvalidContract: not UTF-8, not JSON, too long, too deep, or not an action.
    """
    if len(data) > RUNNER_JSON_BYTES_MAX:
        raise InvalidContract(f"{where} has {len(data)} bytes, the limit is {RUNNER_JSON_BYTES_MAX}")
    _check_depth(data, where)
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except ValueError as error:
        raise InvalidContract(f"{where} is not JSON: {error}") from error
    return _action(value, where)


def _check_depth(data: bytes, where: str) -> None:
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(data):
        first = data[match.start()]
        if first in b"[{":
            depth += 1
            if depth > RUNNER_JSON_DEPTH_MAX:
                raise InvalidContract(f"{where} has more than {RUNNER_JSON_DEPTH_MAX} levels")
        elif first in b"]}":
            depth -= 1


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _number(_text: str) -> None:
    """No action holds a number: where one stands it is wrong or ignored, and never converted."""


_DECODER = json.JSONDecoder(
    object_pairs_hook=_Object, parse_int=_number, parse_float=_number, parse_constant=_no_constant, strict=True
)


def _action(value: Any, where: str) -> Action:
    if not isinstance(value, _Object) or len(value) != 1:
        raise InvalidContract(f"{where}: an action is an object with exactly one key")
    [(kind, body)] = value
    where = f"{where}: {kind[:32]}"
    match kind:
        case "MapFile":
            to, file = _fields(body, ("to", "file"), where)
            return MapFile(_text(to, where), _text(file, where))
        case "AddEnv":
            name, val = _fields(body, ("name", "val"), where)
            return AddEnv(_text(name, where), _text(val, where))
        case "SetArgs":
            return SetArgs(tuple(_text(item, where) for item in _array(body, where)))
        case "Depends":
            return Depends(_text(body, where))
        case "With":
            runner, action = _fields(body, ("runner", "action"), where)
            return With(_text(runner, where), _action(action, where))
        case "LinkWasm":
            return LinkWasm(_text(body, where))
        case "StartWasm":
            return StartWasm(_text(body, where))
        case "When":
            cond, action = _fields(body, ("cond", "action"), where)
            condition = _text(cond, where)
            if condition not in _CONDITIONS:
                raise InvalidContract(f"{where}: cond is neither `det` nor `nondet`")
            return When(_CONDITIONS[condition], _action(action, where))
        case "Seq":
            return Seq(tuple(_action(item, f"{where}[{index}]") for index, item in enumerate(_array(body, where))))
    raise InvalidContract(f"{where}: unknown action")


def _fields(value: Any, names: tuple[str, str], where: str) -> list[Any]:
    """The values of the named keys, each present exactly once."""
    if not isinstance(value, _Object):
        raise InvalidContract(f"{where}: not an object")
    found = []
    for name in names:
        values = [item for key, item in value if key == name]
        if len(values) != 1:
            raise InvalidContract(f"{where}: {name} is {'repeated' if values else 'missing'}")
        found += values
    return found


def _array(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or isinstance(value, _Object):
        raise InvalidContract(f"{where}: not an array")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidContract(f"{where}: not a string")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidContract(f"{where}: half of a surrogate pair in a string") from error
    return value
