"""The author's files: what a contract's code was made of, and where that is kept."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from pygenvm.executor.outcome import InvalidContract

#: What a contract of one file is called in the sandbox, and a package (spec executor/09 "Runners").
_FILE = "/contract.py"
_PACKAGE = "/contract/"
_NAME = "contract.py"
#: How the directory of a zip ends begins.
_ZIP_END = b"PK\5\6"
# Patterns that most commands do not need are texts: compiling one takes longer than many a question.
_DEFINITION = r"[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)\b"
_CONTRACT_BASE = "gl.Contract"
_CLASS = r"class[ \t]+(\w+)\b"


class Source:
    """The code of a contract. ``path`` is the file or folder that it was deployed from, None where that is not known;
    ``name`` is the name of the contract."""

    def __init__(self, code: bytes, path: Path | None = None, name: str = "") -> None:
        self.code = code
        self.path = path
        self.name = name

    @cached_property
    def files(self) -> Mapping[str, str]:
        """Texts by the names that the sandbox has for the files; empty for code that is not Python."""
        # As all texts are, but for one with a zip behind it; the others take longer to look at than most are run.
        if self.code.startswith(b"#") and _ZIP_END not in self.code:
            return {_FILE: self.code.decode("utf-8", "replace")}
        from pygenvm.executor.runner.contract import parse_contract

        try:
            files = parse_contract(self.code).files
        except InvalidContract:
            return {_FILE: self.code.decode("utf-8", "replace")}
        if files.get("file") == self.code:
            return {_FILE: self.code.decode("utf-8", "replace")} if self.code.startswith(b"#") else {}
        return {
            f"/{name}": bytes(content).decode("utf-8", "replace")
            for name, content in files.items()
            if f"/{name}".startswith(_PACKAGE) and name.endswith(".py")
        }

    @cached_property
    def is_package(self) -> bool:
        """Whether the code is a zip with several files."""
        return _FILE not in self.files

    @property
    def base(self) -> Path:
        """The author's file or folder, from the working directory; where it is not known, what says most."""
        if self.path is not None:
            return _from_here(self.path)
        return Path(self.name or ("contract" if self.is_package else _NAME))

    def shown(self, file: str) -> Path:
        """The author's file that the sandbox calls ``file``."""
        if not self.is_package:
            return self.base
        inside = file.removeprefix("/")
        beside = inside.removeprefix("contract/")
        # The package may be the folder itself.
        is_folder = self.path is not None and not (self.path / inside).exists() and (self.path / beside).exists()
        return self.base / (beside if is_folder else inside)

    def line(self, file: str, number: int) -> str:
        """One line; empty where there is none."""
        lines = self._lines(file)
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def block(self, file: str, number: int) -> range:
        """Lines of the class or function that begins in a line, decorators included; else that line alone."""
        lines = self._lines(file)
        start = end = number
        while start > 1 and _is_decorator(lines[start - 2 : start - 1]):
            start -= 1
        while end < len(lines) and _is_decorator(lines[end - 1 : end]):
            end += 1
        head = lines[end - 1 : end]
        if not head or not (re.match(_DEFINITION, head[0]) or re.match(_CLASS, head[0].strip())):
            return range(number, number + 1)
        indent = _indent(head[0])
        last = end
        for position in range(end, len(lines)):
            text = lines[position]
            if text.strip():
                if _indent(text) <= indent and not text.lstrip().startswith((")", "#")):
                    break
                last = position + 1
        return range(start, last + 1)

    def method(self, name: str, owner: str = "") -> tuple[str, int] | None:
        """File and line of the ``def`` of a method; ``owner`` is its class, by default the contract class."""
        found = None
        for file in self.files:
            is_owner = is_class = False
            for number, text in enumerate(self._lines(file), 1):
                if match := re.match(_CLASS, text):
                    is_class, is_owner = True, match[1] == owner if owner else _CONTRACT_BASE in text
                elif is_class and (match := re.match(_DEFINITION, text)) and match[1] == name:
                    if is_owner:
                        return file, number
                    found = found or (file, number)
        return found

    @cached_property
    def changed(self) -> bool:
        """Whether the author's file is another one by now than what was deployed."""
        if self.path is None:
            return False
        if not (self.path.is_file() or (self.path / "runner.json").is_file()):
            return True
        from pygenvm.executor.runner.contract_file import ContractFileError, read_contract

        try:
            return read_contract(self.path) != self.code
        except ContractFileError:
            return True

    def _lines(self, file: str) -> list[str]:
        return self._split.get(file, [])

    @cached_property
    def _split(self) -> dict[str, list[str]]:
        return {file: re.split(r"\r\n|\r|\n", text) for file, text in self.files.items()}


def _is_decorator(lines: list[str]) -> bool:
    return bool(lines) and lines[0].lstrip().startswith("@")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _from_here(path: Path) -> Path:
    """The shorter one of the path itself and the way to it from the working directory."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):
        return path
    return Path(min(str(path), relative, key=len))
