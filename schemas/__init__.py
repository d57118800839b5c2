"""The protocol's constants and shapes as data, each stated once.

``generate.py`` turns ``public-abi.json`` and ``host-fns.json`` into Python modules of ``executor``;
the other files are read at run time with :func:`load`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent


def load(name: str) -> Any:
    """Parsed content of ``<name>.json`` of this folder, e.g. ``load("versions")``."""
    return json.loads((DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))


def load_yaml(name: str) -> Any:
    """The same of ``<name>.yaml``."""
    import yaml

    return yaml.safe_load((DIRECTORY / f"{name}.yaml").read_text(encoding="utf-8"))
