"""What exceptions of Python mean in a contract, and what to do about them, by what the traceback ends with."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pygenvm.localnet.tracebacks import Frame, Traceback, take_apart

_FORBIDDEN = r"SystemError: 6: forbidden"
#: Calls of the SDK's start-up code that begin blocks and sandboxes.
_BLOCK_STARTS = ('"entry_stage_data"', "pickle.loads(")
_EXPRESSION_CHARACTERS = 80
_SAID_CHARACTERS = 1_000
_CALLS = 12


@dataclass(frozen=True, slots=True)
class Explanation:
    """``meaning`` says what happened, ``advice`` what to do."""

    meaning: str
    advice: str


@dataclass(frozen=True, slots=True)
class _Hint:
    """``pattern`` is looked for in a :func:`_situation`. The texts may name its groups, and ``{expr}``, the author's
    expression in which it happened."""

    pattern: str
    meaning: str
    advice: str


# The first that fits counts.
_PYTHON_HINTS: tuple[_Hint, ...] = (
    # --- what a module refuses ---
    _Hint(
        r"NondetException: .*'causes': \['(?P<cause>MALFORMED_URL|(?:SCHEMA|PORT|TLD|ADDRESS)_FORBIDDEN)'",
        "{expr} asks for what the web module lets no contract reach: {cause}.",
        "Nodes let contracts reach http and https at the usual ports of public hosts. For a server of your own, while"
        " you test, there is `always_allow_hosts` in --web-config FILE, and --mocks FILE.",
    ),
    _Hint(
        r"NondetException: .*'causes': \[\"the answer has a number with a fraction",
        "The answer to {expr} has a number with a fraction, for which calldata has no form.",
        "Ask for whole numbers, or for texts, in the prompt, and mock them. From the LLM module of a node `0.5` comes"
        ' as the text "0.5".',
    ),
    _Hint(
        r"NondetException: .*'causes': \['(?P<cause>WEBPAGE_LOAD_FAILED)'",
        "The page of {expr} did not load, as the exception says.",
        "Catch gl.nondet.NondetException where that may happen: every node asks for itself, and may see others.",
    ),
    _Hint(
        r"NondetException: .*'causes': \['(?P<cause>[A-Z_]+)'",
        "{expr} got no answer: {cause}.",
        "Catch gl.nondet.NondetException where that may happen: every node asks for itself, and may see others.",
    ),
    # --- what a VM refuses ---
    _Hint(
        rf"\bblock .*\b(do_read|do_write) .*{_FORBIDDEN}",
        "{expr} uses storage in a non-deterministic block or a sandbox, where there is none.",
        "Read it before, into a local variable, and write it afterwards.",
    ),
    _Hint(
        rf"\bblock .*{_FORBIDDEN}",
        "{expr} is not allowed in a non-deterministic block or a sandbox: it cannot send, nor start another block.",
        "Let the block return what it found, and do this afterwards.",
    ),
    _Hint(
        rf"\bnondet/.*{_FORBIDDEN}",
        "{expr} asks a language model or the web outside of a non-deterministic block.",
        "Do it in a function that you give to `gl.eq_principle.strict_eq(…)`, or to another one of `gl.eq_principle`.",
    ),
    _Hint(
        rf"/do_write .*{_FORBIDDEN}",
        "{expr} changes storage, which a view cannot, nor anybody a locked slot.",
        "Make it `@gl.public.write`, and call it with `genvm local call`.",
    ),
    _Hint(
        _FORBIDDEN,
        "{expr} is not allowed here.",
        "Not allowed are: a view that writes or sends, storage inside a nondet block or sandbox, a slot that is locked,"
        " web and LLM calls outside of a nondet block, and with strict views sending and events in a contract that is"
        " called.",
    ),
    _Hint(
        r"SystemError: 7: inbalance",
        "The contract tried to send more than it has.",
        "Give it value with --value, in a payable method.",
    ),
    _Hint(
        r"SystemError: 2: inval",
        "{expr} calls the VM with arguments that it does not take.",
        "Such are: more than 3 indexed fields in an event, events without `# v0.1.5` or gl.trace without `# v0.1.10` in"
        " the first line, or a wrong `on`.",
    ),
    # --- how a contract is called ---
    _Hint(
        r"called non-payable method `<function \w+\.(?P<name>\w+)",
        "`{name}` takes no value: it is not payable.",
        "Put `@gl.public.write.payable` above it, or send no value.",
    ),
    _Hint(
        r"called non-payable method",
        "The method takes no value: it is not payable.",
        "The method must be marked @gl.public.write.payable to take value.",
    ),
    _Hint(
        r"__handle_undefined_method__|__receive__",
        "There is no such method.",
        "`genvm local schema` lists what there is.",
    ),
    _Hint(
        r"call to private method",
        "The method is not public.",
        "Only methods marked @gl.public.view or @gl.public.write can be called.",
    ),
    _Hint(
        r"starts? with __ is forbidden",
        "The name of the method starts with __.",
        "Methods that start with __ cannot be called.",
    ),
    _Hint(
        r"TypeError: \w+\.(?P<name>\w+)\(\) takes 0 positional arguments",
        "`{name}` has no parameter `self`.",
        "Write `def {name}(self, …)`.",
    ),
    _Hint(
        r"TypeError: \w+\.(?P<name>\w+)\(\) (?P<problem>(missing|takes|got).*)",
        "The arguments do not fit: `{name}` {problem}.",
        "`genvm local schema` shows its parameters.",
    ),
    _Hint(r"no contract defined", "There is no contract class.", "Define a class that derives from gl.Contract."),
    _Hint(r"__init__ must be private", "`__init__` is public.", "Take the decorator off __init__."),
    _Hint(
        r"TypeError: not calldata encodable (?:np\.|array\()(?s:.*): (?P<given>\w+)$",
        "`{given}` is a type of NumPy, which cannot be returned or sent: calldata does not know it.",
        "Turn it into Python's: `int(x)`, `bool(x)`, `array.tolist()`. For fractions, which calldata has not, use an"
        " integer of a small unit, such as cents, or a `str`.",
    ),
    _Hint(
        r"TypeError: not calldata encodable (?P<value>.*): (?P<given>\w+)$",
        "A `{given}` cannot be returned or sent: calldata does not know it.",
        "Calldata has bool, int, str, bytes, Address, None, lists, and dicts with texts as keys. Instead of fractions"
        " use an integer of a small unit, such as cents, or a `str`.",
    ),
    _Hint(
        r"not calldata encodable",
        "A value cannot be returned or sent.",
        "The returned or sent value has a type that calldata does not know, such as a float.",
    ),
    # --- storage ---
    _Hint(
        r"/(set|_encode) .*'float' object has no attribute '(to_bytes|bit_length)'",
        "{expr} stores an integer, and was given a `float`.",
        "Use an integer of a small unit, such as cents; `a // b` divides without fractions.",
    ),
    _Hint(
        r"/(set|_encode) .*'(?P<given>\w+)' object has no attribute '(to_bytes|bit_length)'",
        "{expr} stores an integer, and was given a `{given}`.",
        "Convert it: `int(…)`.",
    ),
    _Hint(
        r"/_encode .*'(?P<given>\w+)' object has no attribute 'encode'",
        "{expr} stores a text, and was given a `{given}`.",
        "Convert it: `str(…)`; of an address: `.as_hex`.",
    ),
    _Hint(
        r"/set .*'(?P<given>\w+)' object has no attribute 'as_bytes'",
        "{expr} stores an `Address`, and was given a `{given}`.",
        "Convert it: `Address(…)`.",
    ),
    _Hint(
        r"/_encode .*(a bytes-like object is required, not|object of type) '(?P<given>\w+)'",
        "{expr} stores bytes, and was given a `{given}`.",
        "Convert it: of a text `.encode()`, of an address `.as_bytes`.",
    ),
    _Hint(
        r"OverflowError: can't convert negative int to unsigned",
        "{expr} stores an integer without a sign, and was given a negative one.",
        "Check the value before, or give the field a type with a sign: i64 … or bigint.",
    ),
    _Hint(
        r"OverflowError: int too big to convert",
        "{expr} stores an integer of a fixed size, and was given one that is too large for it.",
        "Give the field a larger type, such as u256 or bigint, or check the value before.",
    ),
    _Hint(
        r"OverflowError: ",
        "A number does not fit where it is put.",
        "A number is too large, or negative, for the type of the field.",
    ),
    _Hint(
        r"Is right the same storage type\? `(?P<field>\w+)` <- `(?P<given>\w+)`",
        "{expr} is a `{field}`, to which a `{given}` cannot be assigned.",
        "Change it in place: `clear()`, `update(…)`, `extend(…)`.",
    ),
    _Hint(
        r"\btree_map/\w+ .*KeyError",
        "The TreeMap has no such key: {expr}.",
        "Give a default, `.get(KEY, DEFAULT)`, ask `KEY in MAP` before, or use `get_or_insert_default(KEY)`.",
    ),
    _Hint(
        r"\bvec/\w+ .*IndexError: index out of range (?P<index>-?\d+) not in 0\.\.<(?P<length>\d+)",
        "{expr} has {length} items, none at {index}.",
        "Compare the index with `len(…)` before.",
    ),
    _Hint(
        r"class is not marked for usage within storage.*<class '(?P<given>(?:numpy|PIL)\.[\w.]+)'>",
        "`{given}` cannot be stored.",
        "Of NumPy's types, int8 to int64, uint8 to uint64, float32, float64 and arrays of these can; for truth there is"
        " `bool`, for anything else its bytes.",
    ),
    _Hint(
        r"class is not marked for usage within storage.*<class '(?:[\w.]*\.)?(?P<given>\w+)'>",
        "The class `{given}` is not marked for storage.",
        "Put `@allow_storage` above the class `{given}`, above `@dataclass`.",
    ),
    _Hint(
        r"use `bigint` or one of sized integers",
        "`int` has no size in storage.",
        "Storage needs sized types: u256, i64 … or bigint.",
    ),
    _Hint(
        r"non-default argument '(?P<given>\w+)' follows default argument '(?P<before>\w+)'",
        "The field `{given}` has no default, and stands behind `{before}`, which has one.",
        "Move it up, give it a default, or write `@dataclass(kw_only=True)`.",
    ),
    _Hint(r"Exception: invalid address", "{expr} was given a text that is no address.", "Write 0x and 40 hex digits."),
    _Hint(
        r"TypeError: address expected",
        "{expr} takes an `Address`, and was given something else.",
        "Write `Address(text)` for a text, or give the parameter the type `Address`.",
    ),
    # --- what a sandbox has not ---
    _Hint(
        r"ModuleNotFoundError: No module named '(?P<given>numpy|PIL)\b",
        "{expr} needs `{given}`, which a contract has whose text mentions it.",
        "Write `import {given}` in it: the bytes of its `.py` files decide which interpreter a contract gets.",
    ),
    _Hint(
        r"ModuleNotFoundError: No module named '(?P<given>[\w.]+)'",
        "There is no module `{given}` in a sandbox.",
        "Use the standard library, or what the runners in the header bring; for the web `gl.nondet.web`.",
    ),
    _Hint(
        r"\b(socket|ssl|client|request)/\w+ .*(OSError|gaierror|URLError|Error: )",
        "A contract has no network of its own.",
        "Use `gl.nondet.web` in a non-deterministic block.",
    ),
    _Hint(
        r"FileNotFoundError|\[Errno (44|69|63|2|76)\]",
        "A contract finds no files but its own code, and can write none.",
        "Keep data in fields, or in constants of the module.",
    ),
    _Hint(
        r"OSError: \[Errno (58|52)\]",
        "{expr} is something that a sandbox cannot do.",
        "Leave it out: there are no threads and no other programs, and nobody can wait, for time stands still in a"
        " transaction.",
    ),
    # --- Python ---
    _Hint(
        r"NameError: name '(?P<given>gl|Address|TreeMap|DynArray|Array|bigint|[ui]\d+|allow_storage)' is not",
        "`{given}` is not imported.",
        "Write `from genlayer import *` below the header.",
    ),
    _Hint(
        r"(?:NameError|AttributeError|ImportError): (?P<problem>.*)\. Did you mean:? '?(?P<meant>\w+)'?\?",
        "{problem}.",
        "Write `{meant}`, if that is what you mean.",
    ),
    _Hint(
        r"NameError: name '(?P<given>\w+)' is not defined",
        "There is no `{given}` here.",
        "Import or define it above; a field is written `self.{given}`.",
    ),
    _Hint(
        r"^(?:block )?AttributeError: '(?P<owner>\w+)' object has no attribute '(?P<given>\w+)'",
        "A `{owner}` has no `{given}`: {expr}.",
        "Look at the name; a field of the contract is declared in the body of its class.",
    ),
    _Hint(
        r"^(?:block )?IndexError: (\w+) index out of range",
        "There are not so many items: {expr}.",
        "Compare the index with `len(…)` before.",
    ),
    _Hint(
        r"^(?:block )?KeyError: (?P<key>.*)", "There is no key {key}: {expr}.", "Give a default: `.get(KEY, DEFAULT)`."
    ),
    _Hint(
        r"^(?:block )?ZeroDivisionError",
        "{expr} divides by zero.",
        "Look at the divisor before, and raise gl.vm.UserError(text) so that callers see why.",
    ),
    _Hint(r"SyntaxError|IndentationError|TabError", "Python cannot read the file.", "Correct the syntax."),
    _Hint(r"MemoryError", "Python could not get more memory.", "Look for data that grows without bound."),
    _Hint(r"RecursionError", "{expr} calls itself without an end.", "Look for a recursion that never ends."),
)


def python_hint(stderr: str) -> Explanation | None:
    """What an exception that nobody caught means, from the end of its traceback."""
    _, traceback = take_apart(stderr)
    if traceback and is_own_decision(traceback):
        return None
    last = " ".join(stderr.rstrip().splitlines()[-3:])
    situation = _situation(traceback) if traceback else last[-_SAID_CHARACTERS:]
    for hint in _PYTHON_HINTS:
        if match := re.search(hint.pattern, situation, re.MULTILINE):
            own = next((frame for frame in reversed(traceback.frames) if is_own(frame)), None) if traceback else None
            texts = {name: text or "" for name, text in match.groupdict().items()}
            texts["expr"] = f"`{_cut(own.marked)}`" if own and own.marked else "This"
            meaning = re.sub(r"\ba `(?=[aeiou])", "an `", hint.meaning.format(**texts))
            return Explanation(meaning, hint.advice.format(**texts))
    return None


def is_own(frame: Frame) -> bool:
    """Whether it is in the contract, and not in the SDK or the standard library."""
    return frame.file.startswith(("/contract.py", "/contract/"))


def is_own_decision(traceback: Traceback) -> bool:
    """Whether the contract itself raised the exception."""
    last = traceback.frames[-1] if traceback.frames else None
    return last is not None and is_own(last) and re.match(r"(raise|assert)\b", last.source) is not None


def _situation(traceback: Traceback) -> str:
    """Where an exception was raised and what it says, for the patterns of hints.

    ``block`` if that is in the VM of a block or sandbox, then ``file/function`` of the calls below the author's last.
    """
    frames = traceback.frames
    own = max((number for number, frame in enumerate(frames) if is_own(frame)), default=-1)
    words = ["block"] if any(started in frame.source for frame in frames for started in _BLOCK_STARTS) else []
    words += [f"{_short(frame.file)}/{frame.function}" for frame in frames[own + 1 :][-_CALLS:]]
    # Bounded, because a contract may write what it likes and patterns go back and forth in it.
    return " ".join([*words, traceback.exception[:_SAID_CHARACTERS]])


def _short(file: str) -> str:
    """``nondet/web``, ``desc_record``."""
    name = file.removesuffix(".py").removesuffix("/__init__")
    return "/".join(name.split("/")[-2:]) if "/nondet" in name else name.rpartition("/")[2]


def _cut(text: str) -> str:
    return text if len(text) <= _EXPRESSION_CHARACTERS else text[:_EXPRESSION_CHARACTERS] + "…"
