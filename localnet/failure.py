"""Why a run failed, for the author of the contract: where in the author's files, what it means, and what to do.

Put together from the traceback on stderr (:mod:`localnet.tracebacks`), the code that ran (:mod:`localnet.sources`),
what is known of the kind of error (:mod:`localnet.chain.explain`), and what the linter finds at that place. The command
line and the pytest plugin show it alike.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cache
from typing import TYPE_CHECKING, Any

from pygenvm.executor.outcome import InternalError, InvalidContract, Outcome, Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.runner.contract import parse_contract
from pygenvm.executor.terminal_text import visible
from pygenvm.localnet import limits
from pygenvm.localnet.chain.explain import ABSENT, INNER, NO_CONTRACT, UNCAUGHT
from pygenvm.localnet.chain.hints import is_own, is_own_decision
from pygenvm.localnet.chain.model import Kind, Receipt
from pygenvm.localnet.names import CONSTRUCTOR, RECEIVE
from pygenvm.localnet.sources import Source
from pygenvm.localnet.tracebacks import Frame, Traceback, take_apart

if TYPE_CHECKING:
    from pygenvm.lint import Finding

#: What is called by a deployment, and without a method.
#: Lines of a failure, what the contract itself printed not counted.
FAILURE_LINES = 12
_LINE_CHARACTERS = 200
_CAUSE_CHARACTERS = 1_000
_CAUSES = 2
#: What the executor says of a contract that it cannot set up.
_SETUP_CAUSE = re.compile(r"^cause: (.*)\n?\Z", re.MULTILINE)
_SDK_WARNING = re.compile(r"^/py/[^:\n]*:[0-9]+: \w*Warning: .*\n(?:  .*(?:\n|\Z))?", re.MULTILINE)

#: Rules for errors that no run ends with, though something is lost.
_SILENT = frozenset({"GL310", "GL316", "GL417", "GL506"})
#: Rules for warnings that a run may end with.
_LOUD = frozenset({"GL209", "GL314", "GL414", "GL503", "GL802"})
#: Exceptions that come of values, which the linter does not know.
_OF_VALUES = frozenset({"IndexError", "KeyError", "MemoryError", "RecursionError", "UserError", "ZeroDivisionError"})
#: Where no line of the contract was running: what the SDK says, the rules that may know more, and whether in the method
#: that was called.
_KINDS: tuple[tuple[str, frozenset[str], bool], ...] = (
    (r"call to private method", frozenset({"GL409", "GL410", "GL411", "GL414"}), True),
    (r"not calldata encodable", frozenset({"GL405", "GL412"}), True),
    (r"takes 0 positional arguments|missing self", frozenset({"GL407"}), True),
    (r"__init__ must be private", frozenset({"GL204"}), False),
    (r"no contract defined", frozenset({"GL201", "GL203"}), False),
    (r"couldn't get schema", frozenset({"GL403", "GL404", "GL405", "GL406", "GL407"}), False),
)
_HEADER_RULES = re.compile(r"GL1\d\d|GL003")
_OF_HEADER = ("invalid_contract", "version_too_big")
_EXIT = re.compile(r"\b_?exit\(|\bSystemExit\b|\bquit\(")
#: How Python shows functions, with an address that says nothing.
_FUNCTION = re.compile(r"<(?:function|coroutine object) ([\w.]+)(?:\.<locals>\.\w+)? at 0x[0-9a-f]+>")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the author's. ``mark`` are the columns in ``source`` that failed."""

    file: str
    line: int
    function: str
    source: str
    mark: tuple[int, int] | None = None
    times: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Cause:
    """``rule`` is the one of the linter that knew it; ``place`` is said where it is another line than that which
    failed."""

    text: str
    fix: str
    rule: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """``title`` names the outcome, ``exception`` what ended the run in its own words. ``places`` are calls, the
    innermost last. ``output`` is what the contract itself wrote to stderr."""

    title: str
    exception: str
    places: tuple[Place, ...]
    causes: tuple[Cause, ...]
    output: str
    earlier: str = ""
    note: str = ""


class Style(Enum):
    """What a line of a failure says."""

    PLACE = auto()
    SOURCE = auto()
    MARK = auto()
    ERROR = auto()
    NOTE = auto()
    CAUSE = auto()
    FIX = auto()


def explain_failure(receipt: Receipt) -> Failure:
    """Everything that is known of a run that did not return."""
    outcome = receipt.outcome
    assert outcome is not None
    source = receipt.source
    output, traceback = _taken_apart(receipt)
    said = traceback.exception if traceback else ""
    if traceback is None and (found := _SETUP_CAUSE.search(output)):
        said = found[1]
    frames = [frame for frame in traceback.frames if is_own(frame)] if traceback else []
    findings = _findings(receipt, said, traceback, frames) if source and not receipt.cause else []
    places = _places(source, frames) or _place_without_frames(receipt, said, findings)
    if (receipt.cause and not frames) or _is_elsewhere(receipt):
        said = ""  # of the SDK, and not as good
    return Failure(
        title=error_text(outcome),
        exception=said,
        places=tuple(places),
        causes=tuple(_causes(receipt, findings, places)),
        output=own_output(receipt),
        earlier=_earlier(source, traceback),
        note="The file has changed since it was deployed: what is shown is what ran." if _is_old(receipt) else "",
    )


def lines(
    failure: Failure, before_cause: Sequence[tuple[Style, str]] = (), *, room: int = FAILURE_LINES
) -> Iterator[tuple[Style, str]]:
    """What people read of a failure, in at most ``room`` lines: where, what was said, and cause and fix last."""
    end = [(Style.ERROR, _one_line(_FUNCTION.sub(r"\1", line))) for line in failure.exception.split("\n")[:1] if line]
    end += [(Style.NOTE, _one_line(line)) for line in (failure.earlier, failure.note) if line]
    end += before_cause
    for cause in failure.causes:
        known = ", ".join(filter(None, [cause.rule, cause.place]))
        end.append((Style.CAUSE, _one_line(f"cause: {cause.text}{f' ({known})' if known else ''}", _CAUSE_CHARACTERS)))
        end.append((Style.FIX, _one_line(f"fix: {cause.fix}", _CAUSE_CHARACTERS)))
    yield from _of_places(failure.places, room - len(end))
    yield from end


def error_text(outcome: Outcome) -> str:
    """The outcome of a run that failed."""
    match outcome:
        case UserError(message=message):
            return f"User error: {visible(message)}"
        case VMError(message=message):
            return f"VM error: {visible(message)}"
        case InternalError(message=message):
            return f"Internal error: {visible(_ERROR_OF_MODULE.sub(_told, message))}"
    return "returned"


#: How modules write down an error for programs (spec modules/01 §2.5).
_ERROR_OF_MODULE = re.compile(r"ModuleError \{ causes: \[(.*?)\], fatal: (?:true|false), ctx: \{(.*)\} \}", re.DOTALL)
#: What of its context tells most.
_TELLING = re.compile(r'"(?:cause|detail|rust_error|status|url)": (?:Str\("((?:[^"\\]|\\.)*)"\)|Number\(([0-9]+))')


def _told(error: re.Match[str]) -> str:
    """The same for people: the causes, and what of the context tells more."""
    causes = ", ".join(re.findall(r'"((?:[^"\\]|\\.)*)"', error[1]))
    told = list(dict.fromkeys(text or number for text, number in _TELLING.findall(error[2])))
    return f"{causes} ({', '.join(told)})" if told else causes


def own_output(receipt: Receipt) -> str:
    """What the contract itself wrote to stderr."""
    if receipt.outcome is None or isinstance(receipt.outcome, Return):
        return receipt.stderr.text()
    if isinstance(receipt.outcome, InternalError):
        # The last line is the executor's.
        return receipt.stderr.text().removesuffix(f"internal error: {receipt.outcome.message}\n")
    output, traceback = _taken_apart(receipt)
    return _SDK_WARNING.sub("", output if traceback else _SETUP_CAUSE.sub("", output))


def full_traceback(receipt: Receipt) -> str:
    """stderr as it is, with the author's names of files."""
    text, source = receipt.stderr.text(), receipt.source
    if source is None:
        return text
    return re.sub(
        r'^(  File ")(/contract(?:\.py|/[^"]*))(", line )',
        lambda match: f"{match[1]}{source.shown(match[2]) if match[2] in source.files else match[2]}{match[3]}",
        text,
        flags=re.MULTILINE,
    )


def fits(source: Source, stderr: str) -> bool:
    """Whether the traceback at the end of ``stderr`` can be of this code."""
    _, traceback = take_apart(stderr)
    own = [frame for frame in traceback.frames if is_own(frame)] if traceback else []
    return all(
        frame.file in source.files and source.line(frame.file, frame.line).strip().startswith(frame.source)
        for frame in own
    )


# --- places -----------------------------------------------------------------------------------------


def _taken_apart(receipt: Receipt) -> tuple[str, Traceback | None]:
    text = receipt.stderr.text()
    return take_apart(text) if receipt.outcome and _is_exception(receipt.outcome) else (text, None)


def _is_exception(outcome: Outcome) -> bool:
    return outcome == VMError(UNCAUGHT) or outcome == UserError(INNER + UNCAUGHT)


def _is_old(receipt: Receipt) -> bool:
    return receipt.source is not None and receipt.transaction.kind is not Kind.DEPLOY and receipt.source.changed


def _places(source: Source | None, frames: Sequence[Frame]) -> list[Place]:
    """The calls; several in a row from one line to itself are one."""
    places: list[Place] = []
    for frame in frames:
        place = _place(source, frame)
        if places and replace(places[-1], times=place.times) == place:
            place = replace(place, times=places.pop().times + place.times)
        places.append(place)
    return places


def _place(source: Source | None, frame: Frame) -> Place:
    times = 1 + frame.repeated
    if source is None or frame.file not in source.files:
        return Place(frame.file.removeprefix("/"), frame.line, frame.function, frame.source, frame.mark, times)
    text = source.line(frame.file, frame.line).strip()
    mark = frame.mark if text == frame.source else None
    return Place(str(source.shown(frame.file)), frame.line, frame.function, text, mark, times)


def _place_without_frames(receipt: Receipt, said: str, findings: Sequence[Finding]) -> list[Place]:
    """Where the author has to look though none of the author's lines ran: what the linter found, or the method."""
    source, outcome = receipt.source, receipt.outcome
    if source is None or isinstance(outcome, InternalError):
        return []
    if findings:
        finding = findings[0]
        mark = (finding.place.column - _indent(finding.source), finding.place.end - _indent(finding.source))
        return [Place(str(finding.path), finding.place.line, "", finding.source.strip(), mark)]
    at: tuple[str, int] | None = None
    if isinstance(outcome, UserError):
        at = _raised(source, outcome.message)
    elif isinstance(outcome, VMError) and outcome.message.startswith(_OF_HEADER) and not _has_header(source):
        return [Place(str(source.base), 1, "", source.line("/contract.py", 1).strip())]
    elif isinstance(outcome, VMError) and outcome.message != UNCAUGHT and outcome.message.startswith("exit_code "):
        at = _only(source, lambda line: _EXIT.search(line) is not None)
    at = at or (source.method(*_called(receipt, said)) if isinstance(outcome, VMError) else None)
    return [Place(str(source.shown(at[0])), at[1], "", source.line(*at).strip())] if at else []


def _only(source: Source, chosen: Callable[[str], bool]) -> tuple[str, int] | None:
    """The line that is chosen, if it is the only one."""
    found = [
        (file, number)
        for file, text in source.files.items()
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) <= _LONG_LINE and chosen(line)
    ]
    return found[0] if len(found) == 1 else None


def _called(receipt: Receipt, said: str) -> tuple[str, str]:
    """The method that was called, and its class if that is known."""
    owner = re.search(r"(?:<(?:function|coroutine object) |TypeError: )(\w+)\.\w+(?:\(\)| at )", said)
    return call_of(receipt)[0], owner[1] if owner else ""


def call_of(receipt: Receipt) -> tuple[str, list[Any], dict[str, Any]]:
    """What was called: method, positional and named arguments."""
    try:
        call: Any = calldata.decode(receipt.transaction.calldata)
    except ValueError:
        call = None
    call = call if isinstance(call, dict) else {}
    method, args, kwargs = call.get("method"), call.get("args"), call.get("kwargs")
    name = method if isinstance(method, str) and method else RECEIVE
    return (
        CONSTRUCTOR if receipt.transaction.kind is Kind.DEPLOY else name,
        args if isinstance(args, list) else [],
        kwargs if isinstance(kwargs, dict) else {},
    )


def _raised(source: Source, message: str) -> tuple[str, int] | None:
    """The only line that can have raised a user error with this text."""
    if not message or len(message) > _LINE_CHARACTERS:
        return None
    return _only(
        source,
        lambda line: any(_may_be(match, message, "UserError" in line) for match in _LITERAL.finditer(line)),
    )


_LITERAL = re.compile(r"""(?P<format>[fF]?)(?P<quote>["'])(?P<text>(?:(?!(?P=quote)).)+)(?P=quote)""")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_LONG_LINE = 1_000
_PLACEHOLDERS = 5


def _may_be(literal: re.Match[str], message: str, is_raise: bool) -> bool:
    """Whether a literal makes the text; one with placeholders must stand beside the exception."""
    text = literal["text"]
    if not literal["format"]:
        return text == message
    pieces = _PLACEHOLDER.split(text)
    if not is_raise or len(pieces) > _PLACEHOLDERS or not any(piece.strip() for piece in pieces):
        return False
    return re.fullmatch(".*".join(map(re.escape, pieces)), message, re.DOTALL) is not None


def _earlier(source: Source | None, traceback: Traceback | None) -> str:
    """The exception that was being handled, on one line."""
    if traceback is None or traceback.earlier is None:
        return ""
    own = [frame for frame in traceback.earlier.frames if is_own(frame)]
    where = f" ({_place(source, own[-1])})" if own else ""
    return f"after {traceback.earlier.first_line}{where}"


# --- causes -----------------------------------------------------------------------------------------


def _causes(receipt: Receipt, findings: Sequence[Finding], places: Sequence[Place]) -> list[Cause]:
    known = str(places[-1]) if places else ""
    if findings:
        where = [f"{finding.path}:{finding.place.line}" for finding in findings]
        return [
            Cause(finding.message, finding.fix, finding.code, place if place != known else "")
            for finding, place in zip(findings[:_CAUSES], where, strict=False)
        ]
    explanation = NO_CONTRACT if _is_elsewhere(receipt) else receipt.explanation
    return [Cause(explanation.meaning, explanation.advice)] if explanation else []


def _is_elsewhere(receipt: Receipt) -> bool:
    """Whether there is no contract at an address that the contract called: its own header has been read."""
    return receipt.outcome == VMError(ABSENT) and receipt.source is not None and _has_header(receipt.source)


def _has_header(source: Source) -> bool:
    try:
        parse_contract(source.code)
    except InvalidContract:
        return False
    return True


def _findings(receipt: Receipt, said: str, traceback: Traceback | None, frames: Sequence[Frame]) -> list[Finding]:
    """What the linter finds at the place of the failure, or of its kind."""
    outcome, source = receipt.outcome, receipt.source
    assert source is not None
    if isinstance(outcome, UserError | InternalError) and traceback is None:
        return []
    if traceback is None:
        is_set_up = not outcome.message.startswith(_OF_HEADER) if isinstance(outcome, VMError) else True
        return [] if is_set_up or _is_elsewhere(receipt) else _of_header(source, said)
    if is_own_decision(traceback) or traceback.kind.rpartition(".")[2] in _OF_VALUES:
        return []
    if not frames:
        return _of_kind(receipt, source, traceback)
    return _of_frames(source, frames)


def _of_header(source: Source, said: str) -> list[Finding]:
    """Faults of the header, first those with a word of what the executor ``said``."""
    found = [finding for finding in _linted(source) if _HEADER_RULES.match(finding.code) and _may_end_a_run(finding)]
    words = set(re.findall(r"[\w-]{5,}", said)) - {"runner"}
    return sorted(found, key=lambda finding: words.isdisjoint(re.findall(r"[\w-]{5,}", finding.message)))


def _of_kind(receipt: Receipt, source: Source, traceback: Traceback) -> list[Finding]:
    codes, in_method = next(
        ((codes, in_method) for pattern, codes, in_method in _KINDS if re.search(pattern, traceback.exception)),
        (frozenset[str](), False),
    )
    if not codes:
        return []
    found = [finding for finding in _linted(source) if finding.code in codes]
    at = source.method(*_called(receipt, traceback.exception)) if in_method else None
    if at is None:
        return found
    file, within = str(source.shown(at[0])), source.block(*at)
    return [finding for finding in found if str(finding.path) == file and finding.place.line in within]


def _of_frames(source: Source, frames: Sequence[Frame]) -> list[Finding]:
    telling = [finding for finding in _linted(source) if _may_end_a_run(finding)]
    for frame in reversed(frames):
        file = str(source.shown(frame.file))
        here = [finding for finding in telling if str(finding.path) == file]
        exact = [finding for finding in here if finding.place.line == frame.line]
        if exact:
            return exact
        within = source.block(frame.file, frame.line)
        if frame.function == "<module>" and len(within) > 1:
            # A class that cannot be made: what is in its methods did not run.
            indents = {number: _indent(source.line(frame.file, number)) for number in within}
            inner = min((indent for indent in indents.values() if indent), default=0)
            return [finding for finding in here if indents.get(finding.place.line, inner + 1) <= inner]
    return []


def _may_end_a_run(finding: Finding) -> bool:
    from pygenvm.lint import Level

    is_error = _levels().get(finding.code) is Level.ERROR
    return finding.code in _LOUD or (is_error and finding.code not in _SILENT)


@cache
def _levels() -> Mapping[str, Any]:
    """Levels of the rules themselves: an error that may not come about is found as a warning."""
    from pygenvm.lint import rules

    return {rule.code: rule.level for _, rule in rules()}


def _linted(source: Source) -> list[Finding]:
    from pygenvm.lint import lint_code
    from pygenvm.localnet.lint_settings import settings

    if not source.files or len(source.code) > limits.LINTED_BYTES:
        return []
    try:
        return lint_code(source.code, source.base, settings())
    except Exception:
        # The contract has failed, and that has to be told whatever becomes of the linter.
        logging.getLogger("localnet.failure").debug("the linter has failed", exc_info=True)
        return []


# --- text -------------------------------------------------------------------------------------------


def _of_places(places: Sequence[Place], room: int) -> Iterator[tuple[Style, str]]:
    """Calls with their lines, two lines each, and a mark below the last; of many the first and the last ones."""
    fit = max(1, (room - 1) // 2)
    left_out = 0
    if len(places) > fit:
        fit = max(1, (room - 2) // 2)
        left_out = len(places) - fit
    for number, place in enumerate(places):
        if left_out and fit // 2 <= number < fit // 2 + left_out:
            if number == fit // 2:
                yield Style.NOTE, f"… {left_out} more call{'' if left_out == 1 else 's'}"
            continue
        function = f", in {place.function}" if place.function and place.function != "<module>" else ""
        times = f" ({place.times} times)" if place.times > 1 else ""
        yield Style.PLACE, _one_line(f"{place}{function}{times}")
        if place.source:
            yield Style.SOURCE, f"    {_one_line(place.source)}"
    last = places[-1] if places else None
    # Every character must be one column wide, or the mark would stand elsewhere.
    if last and last.mark and last.source.isascii() and len(last.source) <= _LINE_CHARACTERS:
        start, end = last.mark
        if 0 <= start < end <= len(last.source) and end - start < len(last.source):
            yield Style.MARK, "    " + " " * start + "^" * (end - start)


def _one_line(text: str, most: int = _LINE_CHARACTERS) -> str:
    text = visible(text).replace("\t", " ").replace("\n", " ")
    return text if len(text) <= most else text[:most] + "…"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
