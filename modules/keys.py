"""Keys that the configurations of the services may have, to tell of those that nobody reads.

Such a key is ignored, as those of other versions must be. It is more often one that was written wrongly: a ``prise``
leaves a model free of charge, and so without a budget.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from pygenvm.modules.config import CommonSettings, ConfigError, Key, located

#: By name, what may be below it: None is anything, or nothing.
Keys: TypeAlias = "Mapping[str, Keys | None]"
#: The place of names that the operator chooses.
ANY_NAME: Final = "*"


@functools.cache
def known_keys(service: str) -> Keys:
    """Those of ``llm``, ``web`` or ``webdriver``."""
    match service:
        case "llm":
            return {**_of(CommonSettings), **_llm_keys()}
        case "web":
            return {**_of(CommonSettings), **_web_keys()}
        case "webdriver":
            return _webdriver_keys()
    raise ValueError(f"there is no service {service!r}")


def unknown_keys(service: str, document: Mapping[str, Any]) -> Iterator[ConfigError]:
    """What to say of each key of a document that its service does not read; nothing of it is raised."""
    return _unknown(document, known_keys(service), ())


def unknown_keys_in(path: Path | None, text: str, service: str, document: Mapping[str, Any]) -> list[ConfigError]:
    """The same with file and line: the ``document`` was read from this ``text``."""
    found = []
    for warning in unknown_keys(service, document):
        try:
            with located(path, text):
                raise warning
        except ConfigError as error:
            found.append(error)
    return found


def _unknown(items: Any, known: Keys, above: Key) -> Iterator[ConfigError]:
    # What has the wrong type is an error of whoever reads it.
    for name, value in items.items() if isinstance(items, Mapping) else ():
        key = (*above, name if isinstance(name, str) else repr(name))
        if name in known or ANY_NAME in known:
            below = known.get(name, known.get(ANY_NAME))
            if below is not None:
                yield from _unknown(value, below, key)
            continue
        close = difflib.get_close_matches(str(name), known, 1)
        meant = f"did you mean {close[0]}?" if close else "--print-config shows every key with its meaning"
        yield ConfigError("there is no such key, it is ignored", key=key, remedy=meant)


def _of(settings: Any, *more: str, without: Iterable[str] = ()) -> dict[str, Keys | None]:
    names = (field.name for field in dataclasses.fields(settings))
    return dict.fromkeys((*(name for name in names if name not in without), *more))


def _llm_keys() -> Keys:
    from pygenvm.modules.llm.settings import TEMPLATES, Backend, Budget, Model, Price, Retry, Template

    model = {**_of(Model, "enabled", without=["name"]), "price": _of(Price)}
    backend = {
        **_of(Backend, "enabled", "key_file", without=["name"]),
        "models": {ANY_NAME: model},
        "retry": _of(Retry),
    }
    return {
        "backends": {ANY_NAME: backend},
        "budget": _of(Budget),
        "gen_per_cost": None,
        "seed": None,
        "prompt_templates": dict.fromkeys(TEMPLATES, _of(Template)),
    }


def _web_keys() -> Keys:
    from pygenvm.modules.web.settings import Settings

    # The last one is of older configurations (spec modules/03 §9).
    own = _of(Settings, "extra_tld", "always_allow_hosts", "session_create_request", without=["admission"])
    return {**own, "webdriver": _webdriver_keys()}


def _webdriver_keys() -> Keys:
    from pygenvm.modules.webdriver.settings import Settings

    return _of(Settings, "bind_address", "log_level", "log_disable")
