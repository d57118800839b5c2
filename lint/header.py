"""GL1xx: the comment at the start of a contract, or `runner.json` and `version` of a folder (spec executor/07)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.primitives.abi import ABSENT_VERSION
from pygenvm.executor.runner.archive import Archive
from pygenvm.executor.runner.ids import CONTRACT, LATEST, RUNNER_JSON, RunnerId
from pygenvm.executor.runner.registry import published_runners
from pygenvm.executor.runner.runner_json import Action, Depends, Seq, StartWasm, When, With
from pygenvm.executor.runner.version import WHITE_SPACE, Version, version_limit
from pygenvm.lint import old_sdk
from pygenvm.lint.model import Fault, Place, Rules, fault

RULES = Rules("Header")

_SINGLE, _MULTI = "py-genlayer", "py-genlayer-multi"


def published() -> Mapping[str, Sequence[str]]:
    """Hashes of the published runners by id, the newest last."""
    return {name: list(hashes) for name, hashes in published_runners().items()}


def depends_line(runner: str = _SINGLE) -> str:
    """JSON that names the newest published runner."""
    return f'{{ "Depends": "{runner}:{published()[runner][-1]}" }}'


#: What today's contracts carry.
USUAL_VERSION = "v0.2.16"
_EXAMPLE = '`# { "Depends": "py-genlayer:HASH" }`'

NO_HEADER = RULES.error(
    "GL101",
    "the file does not start with the comment that names its runner",
    f"Start the file, at its very first byte, with {_EXAMPLE}.",
)
OTHER_MARKER = RULES.error(
    "GL102", "the header is written with `//` or `--`, which Python cannot read", "Start each line of it with `#`."
)
BAD_VERSION = RULES.error(
    "GL103",
    "the version line is none",
    f"Write three numbers, as in `# {USUAL_VERSION}`, or let the first word of the comment not begin with `v`.",
)
VERSION_TOO_BIG = RULES.error("GL104", "the version does not exist yet", "Lower it.")
EXTRA_COMMENT = RULES.error(
    "GL105",
    "a comment touches the header and becomes part of its JSON",
    "Leave a line empty between the header and any other comment.",
)
BAD_JSON = RULES.error("GL106", "the header has no action that can be read", f"Write it as {_EXAMPLE}.")
NO_RUNNER = RULES.error(
    "GL107", "the header does not depend on the runner that contracts of this kind need", f"Write {_EXAMPLE}."
)
UNKNOWN_RUNNER = RULES.error("GL108", "no such runner", "`genvm runners list` shows what is installed.")
DEBUG_RUNNER = RULES.warning(
    "GL109",
    "`:test` and `:latest` mean something only on a local network and in debug mode",
    f"Name the hash: `# {depends_line()}`.",
)
NOT_INSTALLED = RULES.info(
    "GL110",
    "a runner that is published but not built here, so that the contract runs on nodes only",
    "`genvm runners list` shows what is installed.",
)
NOT_MADE = RULES.error(
    "GL111",
    "a runner that is published and does not exist here yet, so that the contract cannot run here",
    "Do without it: `genvm runners list` shows what there is.",
)
OLD_SDK = RULES.info(
    "GL112",
    "a runner of the SDK v0.1.0, whose names are others than today's",
    "New contracts name the current runner.",
)


@dataclass(frozen=True)
class Runners:
    """Hashes of the ``installed`` runners by id, and ids of those that can be built here (None: not known)."""

    installed: Mapping[str, Collection[str]]
    buildable: Collection[str] | None = None


@dataclass
class Header:
    """``version`` is None where it cannot be read. ``runners`` are those that the contract depends on; None where
    something else may be done too, such as mapping files, or where the runners are not known. ``old_sdk``: they bring
    the names of the SDK v0.1.0."""

    version: Version | None
    faults: list[Fault] = field(default_factory=list)
    runners: frozenset[str] | None = None
    old_sdk: bool = False


def check_text(text: str, runners: Runners) -> Header:
    """Header of a contract in one file."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    marker = next((marker for marker in ("//", "#", "--") if text.startswith(marker)), None)
    if marker is None:
        return Header(None, [_no_header(lines)])
    header: list[str] = []
    for line in lines:
        if not line.startswith(marker):
            break
        header.append(line)
    result = Header(Version.parse(ABSENT_VERSION))
    if marker != "#":
        result.faults.append(fault(OTHER_MARKER, _whole(lines, 1), f"`{marker}` starts no comment in Python"))
    first = 1
    if header[0].removeprefix(marker).strip(WHITE_SPACE).startswith("v"):
        first = 2
        result.version = None
        for found in _version(header[0].removeprefix(marker), _whole(lines, 1), result):
            result.faults.append(found)
    bodies = [line.removeprefix(marker) for line in header[first - 1 :]]
    action, found_ = _action(bodies, lines, first)
    result.faults += found_
    if action is not None:
        result.faults += _runners(action, lines, runners, _SINGLE)
        result.runners, result.old_sdk = _depends_on(action), _has_old_sdk(action)
    return result


def check_runner_json(text: str, runners: Runners) -> Header:
    """``runner.json`` of a contract in several files; its version is elsewhere."""
    lines = text.split("\n")
    try:
        action = _contract_action(text)
    except InvalidContract as error:
        return Header(None, [fault(BAD_JSON, _whole(lines, 1), _cause(error), f"Write it as: {depends_line(_MULTI)}")])
    return Header(None, list(_runners(action, lines, runners, _MULTI)), _depends_on(action), _has_old_sdk(action))


def check_version_file(text: str) -> Header:
    """``version`` of a contract in several files."""
    result = Header(None)
    result.faults += _version(text, _whole(text.split("\n"), 1), result)
    return result


def _no_header(lines: list[str]) -> Fault:
    first = lines[0]
    if first.startswith("\ufeff"):
        message = "the file starts with a byte order mark, so its first bytes are no `#`"
    elif not first.strip():
        message = "the first line is empty: the header must start at the very first byte"
    elif first.lstrip().startswith("#"):
        message = "there are spaces in front of the header"
    else:
        message = "the first line is no comment that names a runner"
    return fault(
        NO_HEADER, _whole(lines, 1), message, f"Start the file, at its very first byte, with: # {depends_line()}"
    )


def _version(text: str, place: Place, result: Header) -> Iterator[Fault]:
    try:
        version = Version.parse(text)
    except ValueError:
        shown = text.strip()[:40]
        message = f"`{shown}` begins with `v`, so it is read as the version, but it is none"
        if not shown.startswith("v"):
            message = f"`{shown}` is no version"
        fix = f"Write `# {USUAL_VERSION}`, or begin the comment with another letter and leave a line empty above it."
        yield fault(BAD_VERSION, place, message, fix)
        return
    if version == (0, 0, 0):
        yield fault(BAD_VERSION, place, "version 0.0.0 does not exist", f"Write `# {USUAL_VERSION}`.")
        return
    result.version = version
    limit = version_limit(-1)
    if not limit.admits(version):
        yield fault(
            VERSION_TOO_BIG,
            place,
            f"version {version} does not exist yet: the contract would end with `version_too_big`",
            f"Write `# {USUAL_VERSION}`, or another one up to {limit}.",
        )


def _action(bodies: list[str], lines: list[str], first: int) -> tuple[Action | None, list[Fault]]:
    """The action in the comment lines without their markers; ``first`` is the number of the first line."""
    fix = f"Write it as: # {depends_line()}"
    if not bodies:
        return None, [fault(BAD_JSON, _whole(lines, first - 1), "the header ends before it names a runner", fix)]
    action, problem = _parsed(bodies)
    if action is not None:
        return action, []
    for end in range(len(bodies) - 1, 0, -1):
        action, _ = _parsed(bodies[:end])
        if action is not None:
            place = _whole(lines, first + end)
            if bodies[end].strip(WHITE_SPACE).startswith("v"):
                return action, [
                    fault(
                        EXTRA_COMMENT,
                        place,
                        "a version line below the JSON becomes part of the JSON and breaks it",
                        "Make the version the first line of the file.",
                    )
                ]
            return action, [
                fault(
                    EXTRA_COMMENT,
                    place,
                    "this comment stands directly below the header, so it becomes part of its JSON and breaks it: all"
                    " comment lines from the first on are joined",
                    "Leave the line above it empty.",
                )
            ]
    for start in range(1, len(bodies)):
        action, _ = _parsed(bodies[start:])
        if action is not None:
            return action, [
                fault(
                    EXTRA_COMMENT,
                    _whole(lines, first),
                    "this comment stands above the JSON of the header, so it becomes part of it and breaks it",
                    "Move it below the header, and leave a line empty between them.",
                )
            ]
    return None, [fault(BAD_JSON, _whole(lines, first), problem, fix)]


def _parsed(bodies: Sequence[str]) -> tuple[Action | None, str]:
    try:
        return _contract_action("".join(bodies)), ""
    except InvalidContract as error:
        return None, _cause(error)


def _cause(error: InvalidContract) -> str:
    return error.error.cause.removeprefix(f"{RUNNER_JSON} of {CONTRACT}: ")


def _contract_action(text: str) -> Action:
    """The action of a contract's runner.json; InvalidContract if there is none."""
    data = text.encode("utf-8", "surrogatepass")
    return Archive(CONTRACT, {RUNNER_JSON: data}, len(data)).action


def _runners(action: Action, lines: list[str], runners: Runners, needed: str) -> Iterator[Fault]:
    known, installed = published(), runners.installed
    names: set[str] = set()
    for reference in dict.fromkeys(_references(action)):
        place = _find(lines, reference)
        try:
            runner = RunnerId.parse(reference)
        except InvalidContract:
            fix = f"Write an id and a hash, as in {needed}:{known[needed][-1]}"
            yield fault(UNKNOWN_RUNNER, place, f"`{reference[:80]}` is no reference to a runner", fix)
            # What was meant is not known, so nothing else can be said about it.
            names.add(reference.split(":")[0])
            continue
        names.add(runner.name)
        ours = _of_ours(reference)
        if runner.hash in installed.get(runner.name, ()):
            # The published archive itself was installed by hand.
            ours = runner.name
        if runner.name not in known and runner.name not in installed:
            every = ", ".join(sorted({*known, *installed}))
            yield fault(UNKNOWN_RUNNER, place, f"there is no runner `{runner.name}`", f"Known runners: {every}.")
        elif ours not in installed and ours not in (runners.buildable or (*known, ours)):
            yield fault(NOT_MADE, place, f"the runner `{runner.name}` does not exist here yet")
        elif installed and ours not in installed:
            yield fault(NOT_INSTALLED, place, f"the runner `{runner.name}` is not built here")
        elif runner.hash in LATEST:
            if runner.name in known:
                message = f"`:{runner.hash}` works on a local network only; nodes refuse the contract"
                yield fault(DEBUG_RUNNER, place, message, f"Name a hash: {runner.name}:{known[runner.name][-1]}")
        elif (
            installed.get(runner.name)
            and runner.hash not in known.get(runner.name, ())
            and runner.hash not in installed[runner.name]
        ):
            fix = f"Use the current one: {runner.name}:{[*installed[runner.name], *known.get(runner.name, ())][-1]}"
            yield fault(UNKNOWN_RUNNER, place, f"no version of `{runner.name}` has the hash `{runner.hash}`", fix)
        elif ours in old_sdk.RUNNERS:
            message = "the contract runs with the names of the SDK v0.1.0"
            yield fault(OLD_SDK, place, message, f"Name the current one: {runner.name}:{known[runner.name][-1]}")
    other = _MULTI if needed == _SINGLE else _SINGLE
    place = _whole(lines, next((n for n, line in enumerate(lines, 1) if "{" in line), 1))
    if other in names and needed not in names:
        what = "a folder (`contract/__init__.py`)" if other == _MULTI else "a single file"
        here = "a single file" if other == _MULTI else "a folder"
        yield fault(NO_RUNNER, place, f"`{other}` runs {what}, and this is {here}", f"Write: {depends_line(needed)}")
    elif needed not in names and not (_starts(action) or "cpython" in names):
        message = f"nothing here depends on `{needed}`, so nothing would run the contract"
        yield fault(NO_RUNNER, place, message, f"Write: {depends_line(needed)}")


def _depends_on(action: Action) -> frozenset[str] | None:
    """Ids of the runners that are named, if the header does nothing but name published ones."""
    every = list(_actions(action))
    names = {reference.split(":")[0] for reference in _references(action)}
    plain = all(isinstance(one, Seq | Depends) for one in every) and names <= published().keys()
    return frozenset(names) if plain else None


def _has_old_sdk(action: Action) -> bool:
    return any(_of_ours(reference) in old_sdk.RUNNERS for reference in _references(action))


def _of_ours(reference: str) -> str:
    """The runner of ours that a reference means: another one than it names, where it names an earlier generation."""
    name, _, published_hash = reference.partition(":")
    return published_runners().get(name, {}).get(published_hash, name)


def _actions(action: Action) -> Iterator[Action]:
    yield action
    match action:
        case Seq(actions=actions):
            for inner in actions:
                yield from _actions(inner)
        case With(action=inner) | When(action=inner):
            yield from _actions(inner)


def _references(action: Action) -> Iterator[str]:
    for one in _actions(action):
        match one:
            case Depends(runner=runner):
                yield runner
            case With(runner=runner) if runner != "<contract>":
                yield runner


def _starts(action: Action) -> bool:
    return any(isinstance(one, StartWasm | With) for one in _actions(action))


def _find(lines: list[str], text: str) -> Place:
    for number, line in enumerate(lines, 1):
        column = line.find(text) if text else -1
        if column >= 0:
            return Place(number, column, column + len(text))
    return _whole(lines, 1)


def _whole(lines: Sequence[str], number: int) -> Place:
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    return Place(number, 0, len(line.rstrip()))
