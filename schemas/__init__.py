"""The protocol's constants and shapes as data, each stated once.

``generate.py`` turns ``public-abi.json`` and ``host-fns.json`` into Python modules of ``executor``;
the other files are read at run time with :func:`load`.
"""

from __future__ import annotations

import json
import os
from typing import Any

_DIRECTORY = os.path.dirname(__file__)


def load(name: str) -> Any:
    """Parsed content of ``<name>.json`` of this folder, e.g. ``load("versions")``."""
    return json.loads(_text(f"{name}.json"))


def load_yaml(name: str) -> Any:
    """The same of ``<name>.yaml``."""
    import yaml

    return yaml.safe_load(_text(f"{name}.yaml"))


def _text(name: str) -> str:
    with open(os.path.join(_DIRECTORY, name), encoding="utf-8") as file:
        return file.read()
