"""The keys of the web service's configuration besides the common ones; ``default.yaml`` explains each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pygenvm.modules import limits
from pygenvm.modules.config import Fields
from pygenvm.modules.http import parse_url
from pygenvm.modules.web.admission import Admission

DEFAULT_FILE: Final = Path(__file__).parent / "default.yaml"


@dataclass(frozen=True)
class Settings:
    """``webdriver_host`` is empty where the module has a rendering service of its own."""

    webdriver_host: str
    admission: Admission
    fetch_seconds: float = limits.FETCH_SECONDS
    response_bytes_max: int = limits.RESPONSE_BYTES
    render_seconds: float = limits.RENDER_SECONDS
    render_wait_seconds_max: float = limits.RENDER_WAIT_SECONDS
    mocks: Path | None = None
    webdriver: Mapping[str, Any] = field(default_factory=dict)


def read_settings(document: Mapping[str, Any]) -> Settings:
    """:raises ConfigError: a key has a value that will not do."""
    fields = Fields(document)
    host = fields.text("webdriver_host", "").rstrip("/")
    if host:
        try:
            parsed = parse_url(host)
        except ValueError:
            parsed = None
        if parsed is None or parsed.scheme not in ("http", "https") or parsed.query is not None:
            remedy = "write http://HOST:PORT; leave it empty to have pages rendered by a service of its own"
            raise fields.error("webdriver_host", "is no URL of a rendering service", remedy=remedy)
    tlds, hosts = fields.texts("extra_tld", []), fields.texts("always_allow_hosts", [])
    try:
        admission = Admission.of(tlds, hosts)
    except ValueError as error:
        remedy = "write names or addresses alone, without scheme, port or path"
        raise fields.error("always_allow_hosts", str(error), remedy=remedy) from None
    mocks = fields.text("mocks", "")
    webdriver = fields.section("webdriver", {})
    return Settings(
        webdriver_host=host,
        admission=admission,
        fetch_seconds=fields.number("fetch_seconds", limits.FETCH_SECONDS, low=0.1),
        response_bytes_max=fields.integer(
            "response_bytes_max", limits.RESPONSE_BYTES, low=1, high=limits.RESPONSE_BYTES_MAX
        ),
        render_seconds=fields.number("render_seconds", limits.RENDER_SECONDS, low=1),
        render_wait_seconds_max=fields.number("render_wait_seconds_max", limits.RENDER_WAIT_SECONDS),
        mocks=Path(mocks) if mocks else None,
        webdriver={name: webdriver.raw(name, None) for name in webdriver},
    )
