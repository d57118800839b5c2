"""Which URLs a contract may name at all, decided by their text before any network access (spec modules/03 §3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import Url, parse_url
from pygenvm.modules.web.tlds import root_zone, written_forms

SCHEMES = ("http", "https")


@dataclass(frozen=True)
class Admission:
    """The rules of one configuration. Hosts are written as in a parsed URL."""

    tlds: frozenset[str]
    always_allow_hosts: frozenset[str]

    @classmethod
    def of(cls, extra_tld: Iterable[str], always_allow_hosts: Iterable[str]) -> Admission:
        """:raises ValueError: an entry is no host name; the text says which."""
        # An empty one, perhaps of an unset variable, would be that of names with a dot at their end.
        extra = {form for tld in extra_tld for form in written_forms(tld)} - {""}
        return cls(root_zone() | extra, frozenset(map(host_of, always_allow_hosts)))

    def check_url(self, url: str) -> Url:
        """The parsed URL.

        :raises ModuleError: not fatal: ``MALFORMED_URL``, ``SCHEMA_FORBIDDEN``, ``PORT_FORBIDDEN`` or
            ``TLD_FORBIDDEN``, with the URL as given in its ctx.
        """
        try:
            parsed = parse_url(url)
        except ValueError:
            raise _refused("MALFORMED_URL", url) from None
        if parsed.scheme not in SCHEMES:
            raise _refused("SCHEMA_FORBIDDEN", url, schema=parsed.scheme)
        if parsed.host in self.always_allow_hosts:
            return parsed
        if parsed.port not in (None, 80, 443):
            raise _refused("PORT_FORBIDDEN", url, port=parsed.port)
        tld = parsed.host.rpartition(".")[2]
        if tld not in self.tlds:
            raise _refused("TLD_FORBIDDEN", url, tld=tld)
        return parsed


def host_of(text: str) -> str:
    """A host name or address alone, as it stands in a parsed URL: IPv6 in brackets, names in lower-case ASCII.

    :raises ValueError: the text is something else.
    """
    bracketed = f"[{text}]" if ":" in text and not text.startswith("[") else text
    try:
        parsed = parse_url(f"http://{bracketed}/")
    except ValueError:
        raise ValueError(f"not a host name: {text[:100]!r}") from None
    if parsed.href != f"http://{parsed.host}/" or not text or any(mark in text for mark in "/\\?#@"):
        raise ValueError(f"not a host name: {text[:100]!r}")
    return parsed.host


def _refused(cause: str, url: str, **ctx: object) -> ModuleError:
    return ModuleError(cause, fatal=False, ctx={"url": url, **ctx})
