"""Checks files and folders: reads them, and runs every rule over them. Nothing of a contract is ever executed."""

from __future__ import annotations

import ast
import os
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.primitives.abi import ABSENT_VERSION
from pygenvm.executor.runner.archive import FileContent
from pygenvm.executor.runner.contract import parse_contract
from pygenvm.executor.runner.contract_file import ContractFileError, ContractNotFound, packed_file, read_contract
from pygenvm.executor.runner.version import Version
from pygenvm.executor.runner.wasm_sections import is_core_module
from pygenvm.executor.runner.zip import find_directory
from pygenvm.lint import (
    arguments,
    contract_class,
    events,
    header,
    methods,
    nondet,
    old_names,
    other_contracts,
    sandbox,
    storage,
    temporaries,
    values,
)
from pygenvm.lint.model import Fault, Finding, Place, Rule, Rules, fault, in_order
from pygenvm.lint.source import Contract, Module, Runs, Sandbox, split_lines

#: Version of the Python that runs contracts.
SANDBOX_PYTHON = (3, 13)

_RULES = Rules("Reading")

SYNTAX = _RULES.error("GL001", "Python cannot read the file", "Correct the syntax.")
OLD_HOST = _RULES.warning(
    "GL002",
    "this Python is too old to read the file, so only its header was checked",
    f"Run genvm with Python {'.'.join(map(str, SANDBOX_PYTHON))} to have everything checked.",
)
NOT_TEXT = _RULES.error("GL003", "the file is no text in UTF-8", "Save it as UTF-8.")

#: All rules by family.
FAMILIES: tuple[Rules, ...] = (
    _RULES,
    header.RULES,
    contract_class.RULES,
    storage.RULES,
    methods.RULES,
    nondet.RULES,
    old_names.RULES,
    events.RULES,
    sandbox.RULES,
)
_CHECKS = (
    contract_class.check,
    storage.check,
    temporaries.check,
    values.check,
    methods.check,
    other_contracts.check,
    nondet.check,
    old_names.check,
    arguments.check,
    events.check,
    sandbox.check,
)
_HEADER = re.compile(r"\ufeff?\s*(?:#|//|--)[ \t]*(?:\{|v\d)")
_CONTRACT_BASE = re.compile(r"(?:\w+\.)*gl\.Contract")
_CONTRACT_CLASS = re.compile(r"^[ \t]*class\s+\w+[^:]*\bgl\.Contract\b", re.MULTILINE)
_ALLOWED = re.compile(r"#\s*lint:\s*allow\[([A-Z0-9,\s]+)\]")


@dataclass(frozen=True)
class SandboxAnswer:
    """What the sandbox's Python makes of a contract: whether it reads it (None: not known), else what it complains of.

    ``file`` is the name inside the sandbox, such as ``/contract.py``.
    """

    reads: bool | None = None
    complaint: str = ""
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Settings:
    """``installed``: hashes of the installed runners by id. ``ask_sandbox`` is asked when this Python is too old.

    ``buildable``: ids of the runners that can be built here (None: not known). ``left_out``: modules of the standard
    library that the sandbox does not have, as in ``xml/dom``.
    """

    installed: Mapping[str, Collection[str]]
    ask_sandbox: Callable[[bytes], SandboxAnswer] = lambda _: SandboxAnswer()
    buildable: Collection[str] | None = None
    left_out: Collection[str] = ()


def rules() -> Iterator[tuple[str, Rule]]:
    """Every rule with the title of its family."""
    return ((family.title, rule) for family in FAMILIES for rule in family)


def find_contracts(path: Path) -> list[Path]:
    """What there is to check at a path: a file, a folder that is a contract, or the contracts in a folder.

    :raises ContractNotFound: there is nothing.
    """
    if not path.is_dir() or (path / "runner.json").is_file():
        return [path]
    found = sorted(_contracts_in(path))
    if not found:
        raise ContractNotFound(
            f"{path} has no contracts: neither files *.py that look like one nor folders with a runner.json"
        )
    return found


def _contracts_in(root: Path) -> Iterator[Path]:
    for name, folders, files in os.walk(root):
        folder = Path(name)
        if "runner.json" in files:
            yield folder
            folders.clear()
        else:
            folders[:] = [one for one in folders if not one.startswith(".") and one != "__pycache__"]
            yield from (folder / one for one in files if one.endswith(".py") and _is_contract(folder / one))


def _is_contract(path: Path) -> bool:
    """Whether the file starts like a contract, or has a class of one; tests and the like do not."""
    if not path.is_file():
        return False  # A pipe would be waited for.
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return False
    if _HEADER.match(text):
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            classes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return bool(_CONTRACT_CLASS.search(text))
    return any(_CONTRACT_BASE.fullmatch(ast.unparse(base)) for node in classes for base in node.bases)


def lint(path: Path, settings: Settings) -> list[Finding]:
    """Checks one contract, a file or a folder.

    :raises ContractNotFound: it cannot be read.
    :raises ContractFileError: it is no Python contract.
    """
    code = read_contract(path)
    # One that is cut off begins like a zip and is none for the executor; nobody writes a text like that.
    if not path.is_dir() and (_is_zip(code) or code.startswith(b"PK\x03\x04")):
        raise ContractFileError(f"{path} is a zip; check the folder that it was made of")
    return lint_code(code, path, settings)


def lint_code(code: bytes, path: Path, settings: Settings) -> list[Finding]:
    """Checks the code of a contract; ``path`` is the file or folder that findings name, which need not be there.

    :raises ContractFileError: it is no Python contract.
    """
    checker = _Checker(path, settings)
    if _is_zip(code):
        checker.folder(code)
    elif is_core_module(code):
        raise ContractFileError(f"{path} is WebAssembly; only contracts in Python can be checked")
    else:
        checker.file(code)
    return in_order(checker.findings)


def _is_zip(code: bytes) -> bool:
    try:
        return find_directory(memoryview(code)) is not None
    except InvalidContract:
        return True


class _Checker:
    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.settings = settings
        self.runners = header.Runners(settings.installed, settings.buildable)
        self.findings: list[Finding] = []

    def file(self, code: bytes) -> None:
        text = self._decoded(self.path, code)
        if text is None:
            return
        found = header.check_text(text, self.runners)
        self._report_all(self.path, split_lines(text), found.faults)
        module = self._parsed("contract.py", self.path, text, code, found)
        if module:
            self._run(Contract(self.path, [module], found.version, self._sandbox(found)))

    def folder(self, code: bytes) -> None:
        try:
            files = parse_contract(code).files
        except InvalidContract as error:
            raise ContractFileError(f"{self.path}: {error.error.cause}") from error
        found = self._folder_json(files.get("runner.json", b""))
        version = self._folder_version(files.get("version"))
        modules = []
        complete = True
        for name, content in sorted(files.items()):
            if name.startswith("contract/") and name.endswith(".py"):
                file = packed_file(self.path, name)
                text = self._decoded(file, bytes(content))
                module = None if text is None else self._parsed(name, file, text, code, found)
                complete &= module is not None
                modules += [module] if module else []
        # What cannot be read may be what the rest needs.
        if complete and modules:
            self._run(Contract(self.path, modules, version, self._sandbox(found)))
        elif complete:
            lines = ["{"]
            place = Place(1, 0, 1)
            missing = fault(
                contract_class.NO_CONTRACT, place, "there is no `contract/__init__.py`", "Write the contract there."
            )
            self._report_all(self.path / "runner.json", lines, [missing])

    def _folder_json(self, content: FileContent) -> header.Header:
        path = self.path / "runner.json"
        text = self._decoded(path, bytes(content))
        if text is None:
            return header.Header(None)
        found = header.check_runner_json(text, self.runners)
        self._report_all(path, split_lines(text), found.faults)
        return found

    def _sandbox(self, found: header.Header) -> Sandbox:
        return Sandbox(found.runners, frozenset(self.settings.left_out))

    def _folder_version(self, content: FileContent | None) -> Version | None:
        if content is None:
            return Version.parse(ABSENT_VERSION)
        path = self.path / "version"
        text = self._decoded(path, bytes(content))
        if text is None:
            return None
        found = header.check_version_file(text)
        self._report_all(path, split_lines(text), found.faults)
        return found.version

    def _decoded(self, path: Path, content: bytes) -> str | None:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            message = f"byte {error.start} is no UTF-8: the contract ends with `invalid_contract not_utf8_text`"
            self._report(path, "", fault(NOT_TEXT, Place(line, 0, 0), message))
            return None

    def _parsed(self, file: str, path: Path, text: str, code: bytes, found: header.Header) -> Module | None:
        """The module ``file`` of the contract ``code``."""
        lines = split_lines(text)
        if "\0" in text:
            number = len(split_lines(text[: text.index("\0")]))
            message = "there is a NUL byte in the file, which Python does not read"
            self._report(path, "", fault(SYNTAX, Place(number, 0, 0), message, "Take it out: in a text write `\\0`."))
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(text.removeprefix("\ufeff"))
                return Module(_module_name(file), path, text, tree, of_old_sdk=found.old_sdk)
        except SyntaxError as error:
            problem = self._syntax(file, lines, error, code)
            place = problem[1]
            assert isinstance(place, Place)
            self._report(path, lines[place.line - 1], problem)
        except (ValueError, RecursionError, MemoryError) as error:
            message = f"Python cannot read the file: {str(error) or 'it is nested too deeply'}"
            self._report(path, lines[0], fault(SYNTAX, Place(1, 0, len(lines[0])), message))
        return None

    def _syntax(self, file: str, lines: Sequence[str], error: SyntaxError, code: bytes) -> Fault:
        """An error of the file, or of this Python, which may be older than the sandbox's."""
        line = min(max(error.lineno or 1, 1), len(lines))
        column = min(max((error.offset or 1) - 1, 0), len(lines[line - 1]))
        place = Place(line, column, min(column + 1, len(lines[line - 1])))
        if sys.version_info >= SANDBOX_PYTHON:
            return fault(SYNTAX, place, error.msg)
        own, sandbox = ".".join(map(str, sys.version_info[:2])), ".".join(map(str, SANDBOX_PYTHON))
        answer = self.settings.ask_sandbox(code)
        if answer.reads is False and answer.file == f"/{file}" and 0 < answer.line <= len(lines):
            shown = lines[answer.line - 1]
            return fault(SYNTAX, Place(answer.line, len(shown) - len(shown.lstrip()), len(shown)), answer.complaint)
        told = f"whether the Python {sandbox} of the sandbox can is not known"
        if answer.reads is not None:
            told = f"the Python {sandbox} of the sandbox can" + (
                "" if answer.reads else f"not either: {answer.complaint}"
            )
        return fault(OLD_HOST, place, f"Python {own}, which runs genvm, cannot read this ({error.msg}); {told}")

    def _run(self, contract: Contract) -> None:
        for check in _CHECKS:
            try:
                for module, found in check(contract):
                    self._report_code(contract, module, found)
            except RecursionError:
                # Deeper than anything that people write; what was found so far stands.
                continue

    def _report_code(self, contract: Contract, module: Module, found: Fault) -> None:
        """What never runs cannot fail; what runs under a condition, or is expected to raise, does not certainly."""
        rule, where, message, fix = found
        if isinstance(where, ast.AST):
            runs = contract.runs(module, where)
            if runs is Runs.NEVER:
                return
            if runs is Runs.MAYBE:
                rule = rule.as_warning
        place = module.place(where)
        self._report(module.path, module.line(place.line), (rule, place, message, fix))

    def _report_all(self, path: Path, lines: Sequence[str], faults: Sequence[Fault]) -> None:
        for found in faults:
            assert isinstance(found[1], Place)
            self._report(path, lines[found[1].line - 1] if found[1].line <= len(lines) else "", found)

    def _report(self, path: Path, source: str, found: Fault) -> None:
        rule, place, message, fix = found
        assert isinstance(place, Place)
        allowed = _ALLOWED.search(source)
        if allowed and rule.code in re.split(r"[,\s]+", allowed[1]):
            return
        self.findings.append(Finding(rule, path, place, source, message, rule.advice if fix is None else fix))


def _module_name(file: str) -> str:
    """``contract/a/__init__.py`` is ``contract.a``."""
    parts = PurePosixPath(file).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
