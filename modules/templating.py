"""The two kinds of placeholders in configuration values (spec modules/01 §3.1).

Both are replaced in one pass: what a value brings is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_CONFIG = re.compile(r"\$\{(?:ENV\[([A-Za-z0-9_]*)\]|([A-Za-z0-9_]*))\}")
_SESSION = re.compile(r"#\{([A-Za-z0-9_]*)\}")


class UnknownVariable(ValueError):
    """A placeholder has a name that nothing is known of."""

    def __init__(self, placeholder: str, known: Mapping[str, object]) -> None:
        self.placeholder = placeholder
        super().__init__(f"unknown variable {placeholder}; there are {', '.join(sorted(known)) or 'none'}")


def expand_config(value: Any, variables: Mapping[str, str], environ: Mapping[str, str], *, keys: bool = True) -> Any:
    """``value`` with ``${name}`` and ``${ENV[NAME]}`` replaced in all its strings; unset ``NAME`` is the empty text.

    :param keys: in the keys of maps too, which is for YAML files and not for JSON bodies.
    :raises UnknownVariable: ``name`` is not in ``variables``.
    """

    def replacement(match: re.Match[str]) -> str:
        environment, name = match.groups()
        if environment is not None:
            return environ.get(environment, "")
        if name not in variables:
            raise UnknownVariable(match[0], variables)
        return variables[name]

    def expanded(item: Any) -> Any:
        match item:
            case str():
                return _CONFIG.sub(replacement, item)
            case list():
                return [expanded(element) for element in item]
            case dict():
                return {expanded(key) if keys else key: expanded(element) for key, element in item.items()}
        return item

    return expanded(value)


def expand_session(text: str, values: Mapping[str, str], *, strict: bool = False) -> str:
    """``text`` with ``#{name}`` replaced.

    :param strict: an unknown name is an error, as it is in the signer's settings; templates keep it as it stands.
    :raises UnknownVariable: only if ``strict``.
    """

    def replacement(match: re.Match[str]) -> str:
        if match[1] in values:
            return values[match[1]]
        if strict:
            raise UnknownVariable(match[0], values)
        return match[0]

    return _SESSION.sub(replacement, text)
