"""The actions of a runner.json (spec executor/07 "runner.json")."""

from __future__ import annotations

from typing import Any, TypeAlias

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.json_text import parse_json
from pygenvm.executor.limits import RUNNER_JSON_BYTES_MAX, RUNNER_JSON_DEPTH_MAX
from pygenvm.executor.outcome import InvalidContract


class MapFile(metaclass=Frozen):
    """Map ``file``, or all files below it when it ends in ``/``, at ``to``."""

    to: str
    file: str


class MapDerived(metaclass=Frozen):
    """Map what the program of runner ``by`` makes of the files that ``MapFile`` with the same ``to`` and ``file`` maps.

    Ours, and only for installed runners: contracts of other executors cannot have it.
    """

    to: str
    file: str
    by: str


class AddEnv(metaclass=Frozen):
    """Set variable ``name`` to the template ``val``."""

    name: str
    val: str


class SetArgs(metaclass=Frozen):
    """Append to the argument list."""

    args: tuple[str, ...]


class Depends(metaclass=Frozen):
    """Run the runner.json of another runner, once per VM."""

    runner: str


class With(metaclass=Frozen):
    """Run ``action`` with another runner, or the contract, as the current one."""

    runner: str
    action: Action


class LinkWasm(metaclass=Frozen):
    """Instantiate a file of the current runner and register its exports."""

    file: str


class StartWasm(metaclass=Frozen):
    """Instantiate a file of the current runner as the program; ends all processing."""

    file: str


class When(metaclass=Frozen):
    """Run ``action`` only in VMs of one mode."""

    deterministic: bool
    action: Action


class WhenMentions(metaclass=Frozen):
    """Run ``action`` only if the contract's ``file``, or a ``.py`` below it when it ends in ``/``, has one of ``names``
    as a word.

    Ours, and only for installed runners: contracts of other executors cannot have it.
    """

    file: str
    names: tuple[str, ...]
    action: Action


class Seq(metaclass=Frozen):
    """Run actions in order."""

    actions: tuple[Action, ...]


Action: TypeAlias = (
    MapFile | MapDerived | AddEnv | SetArgs | Depends | With | LinkWasm | StartWasm | When | WhenMentions | Seq
)

_CONDITIONS = {"det": True, "nondet": False}


def parse_runner_json(data: bytes, where: str, *, installed: bool) -> Action:
    """Parse a runner.json; ``where`` begins the cause of an error.

    Unknown keys of an action's own object are ignored, but no key may stand twice in one object.
    ``installed`` runners may use actions of ours; in contracts those are as unknown as everywhere else.

    :raises InvalidContract: not UTF-8, not JSON, too long, too deep, or not an action.
    """
    if len(data) > RUNNER_JSON_BYTES_MAX:
        raise InvalidContract(f"{where} has {len(data)} bytes, the limit is {RUNNER_JSON_BYTES_MAX}")
    try:
        value = parse_json(data.decode("utf-8"), max_chars=RUNNER_JSON_BYTES_MAX, max_depth=RUNNER_JSON_DEPTH_MAX)
    except ValueError as error:
        raise InvalidContract(f"{where}: {error}") from error
    return _action(value, where, installed)


def _action(value: Any, where: str, installed: bool) -> Action:
    if not isinstance(value, dict) or len(value) != 1:
        raise InvalidContract(f"{where}: an action is an object with exactly one key")
    [(kind, body)] = value.items()
    inside = f"{where}: {kind}"
    match kind:
        case "MapFile":
            to, file = _fields(body, ("to", "file"), inside)
            return MapFile(_text(to, inside), _text(file, inside))
        case "MapDerived" if installed:
            to, file, by = _fields(body, ("to", "file", "by"), inside)
            return MapDerived(_text(to, inside), _text(file, inside), _text(by, inside))
        case "AddEnv":
            name, val = _fields(body, ("name", "val"), inside)
            return AddEnv(_text(name, inside), _text(val, inside))
        case "SetArgs":
            return SetArgs(tuple(_text(item, inside) for item in _array(body, inside)))
        case "Depends":
            return Depends(_text(body, inside))
        case "With":
            runner, action = _fields(body, ("runner", "action"), inside)
            return With(_text(runner, inside), _action(action, inside, installed))
        case "LinkWasm":
            return LinkWasm(_text(body, inside))
        case "StartWasm":
            return StartWasm(_text(body, inside))
        case "When":
            cond, action = _fields(body, ("cond", "action"), inside)
            condition = _text(cond, inside)
            if condition not in _CONDITIONS:
                raise InvalidContract(f"{inside}: cond is neither `det` nor `nondet`")
            return When(_CONDITIONS[condition], _action(action, inside, installed))
        case "WhenMentions" if installed:
            file, names, action = _fields(body, ("file", "names", "action"), inside)
            words = tuple(_text(item, inside) for item in _array(names, inside))
            return WhenMentions(_text(file, inside), words, _action(action, inside, installed))
        case "Seq":
            return Seq(tuple(_action(item, f"{inside}[{i}]", installed) for i, item in enumerate(_array(body, inside))))
    raise InvalidContract(f"{where}: unknown action {kind[:32]!r}")


def _fields(value: Any, names: tuple[str, ...], where: str) -> list[Any]:
    """The values of the named keys."""
    if not isinstance(value, dict):
        raise InvalidContract(f"{where}: not an object")
    for name in names:
        if name not in value:
            raise InvalidContract(f"{where}: {name} is missing")
    return [value[name] for name in names]


def _array(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
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
