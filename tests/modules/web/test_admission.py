"""Which URLs contracts may name (spec modules/03 §3)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import parse_url
from pygenvm.modules.web.admission import Admission, host_of
from pygenvm.modules.web.tlds import from_suffix_list, root_zone, written_forms

DEFAULT = Admission.of([], [])
OPEN = Admission.of(["lab", ".Example", "москва-2"], ["localhost", "127.0.0.1", "::1", "Wiki.Internal", "münchen.lab2"])


def _refused(admission: Admission, url: str) -> tuple[list[str], dict[str, object], bool]:
    with pytest.raises(ModuleError) as raised:
        admission.check_url(url)
    return raised.value.causes, raised.value.ctx, raised.value.fatal


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://example.com",
        "HTTPS://EXAMPLE.COM/a?b#c",
        "http://example.com:80/",
        "https://example.com:443/",
        "http://example.com:443/",
        "https://example.com:80/",
        "http://user:password@example.com/",
        "http://example.com:/",
        "http:example.com",
        "http://a.b.c.example.co.uk/",
        "http://com/",
        "http://xn--fiqs8s/",
        "http://例え.中国/",
        "http://президент.рф/",
        "http://4.3.2.1.in-addr.arpa/",
    ],
)
def test_what_is_accepted(url: str) -> None:
    assert DEFAULT.check_url(url) == parse_url(url)


@pytest.mark.parametrize(
    ("url", "cause", "ctx"),
    [
        ("", "MALFORMED_URL", {}),
        ("example.com", "MALFORMED_URL", {}),
        ("/relative", "MALFORMED_URL", {}),
        ("http://", "MALFORMED_URL", {}),
        ("http://exa mple.com/", "MALFORMED_URL", {}),
        ("http://example.com:65536/", "MALFORMED_URL", {}),
        ("http://example.com:x/", "MALFORMED_URL", {}),
        ("http://1.2.3.256/", "MALFORMED_URL", {}),
        ("http://\ud800.com/", "MALFORMED_URL", {}),
        ("http://example.com/" + "a" * 70_000, "MALFORMED_URL", {}),
        ("ftp://example.com/", "SCHEMA_FORBIDDEN", {"schema": "ftp"}),
        ("WSS://example.com/", "SCHEMA_FORBIDDEN", {"schema": "wss"}),
        ("data:,x", "SCHEMA_FORBIDDEN", {"schema": "data"}),
        ("example.com:80", "SCHEMA_FORBIDDEN", {"schema": "example.com"}),
        ("http://example.com:81/", "PORT_FORBIDDEN", {"port": 81}),
        ("http://example.com:0/", "PORT_FORBIDDEN", {"port": 0}),
        ("https://127.0.0.1:8443/", "PORT_FORBIDDEN", {"port": 8443}),
        ("http://localhost/", "TLD_FORBIDDEN", {"tld": "localhost"}),
        ("http://example.com./", "TLD_FORBIDDEN", {"tld": ""}),
        ("http://93.184.216.34/", "TLD_FORBIDDEN", {"tld": "34"}),
        ("http://[::1]/", "TLD_FORBIDDEN", {"tld": "[::1]"}),
        ("http://[::ffff:1.2.3.4]/", "TLD_FORBIDDEN", {"tld": "[::ffff:102:304]"}),
        ("http://example.lab/", "TLD_FORBIDDEN", {"tld": "lab"}),
        ("http://example.onion/", "TLD_FORBIDDEN", {"tld": "onion"}),
        ("http://example.xn--nothing/", "TLD_FORBIDDEN", {"tld": "xn--nothing"}),
    ],
)
def test_what_is_refused(url: str, cause: str, ctx: dict[str, object]) -> None:
    assert _refused(DEFAULT, url) == ([cause], {"url": url, **ctx}, False)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8080/",
        "http://LOCALHOST/",
        "http://127.0.0.1:1/",
        "http://0x7f.1/",
        "http://[::1]:99/",
        "https://wiki.internal/",
        "http://MÜNCHEN.lab2:8/",
        "http://xn--mnchen-3ya.lab2/",
        "http://some.lab/",
        "http://some.EXAMPLE/",
        "http://some.xn---2-6kcbk6a8a/".replace("xn---2-6kcbk6a8a", written_forms("москва-2")[1]),
    ],
)
def test_what_the_configuration_adds(url: str) -> None:
    OPEN.check_url(url)
    _refused(DEFAULT, url)


@pytest.mark.parametrize(
    "url", ["http://sub.localhost/", "http://localhost./", "http://127.0.0.2/", "http://some.lab:81/"]
)
def test_what_it_does_not_add(url: str) -> None:
    _refused(OPEN, url)


def test_an_empty_domain_adds_nothing() -> None:
    assert _refused(Admission.of(["", " ", "."], []), "http://router.lan./")[0] == ["TLD_FORBIDDEN"]


def test_an_allowed_host_needs_its_scheme() -> None:
    assert _refused(OPEN, "ftp://localhost/")[0] == ["SCHEMA_FORBIDDEN"]


@pytest.mark.parametrize(
    "entry", ["", "http://a.com", "a.com:80", "a.com/", "a b", "user@a.com", "a.com?x", "*", "[::1"]
)
def test_an_entry_that_is_no_host(entry: str) -> None:
    if entry == "*":
        # Not a pattern, and no name that resolves.
        assert host_of(entry) == "*"
        return
    with pytest.raises(ValueError, match="not a host name"):
        Admission.of([], [entry])


# --- top-level domains ---


def test_the_root_zone() -> None:
    zone = root_zone()
    assert 1400 < len(zone) < 1800
    assert {"com", "org", "arpa", "uk", "museum", "中国", "xn--fiqs8s", "рф", "xn--p1ai"} <= zone
    assert not zone & {"local", "localhost", "internal", "test", "onion", "example", "invalid", ""}
    assert all(tld == tld.lower().strip() and "." not in tld for tld in zone)
    # Native script and punycode go together.
    native = {tld for tld in zone if not tld.isascii()}
    assert len(native) > 130
    assert {written_forms(tld)[1] for tld in native} == {tld for tld in zone if tld.startswith("xn--")}


def test_the_zone_is_taken_from_a_suffix_list() -> None:
    text = """
// ===BEGIN ICANN DOMAINS===
com
co.uk
*.ck
!www.ck
onion
中国
公司.cn
// ===END ICANN DOMAINS===
// ===BEGIN PRIVATE DOMAINS===
blogspot.private
"""
    assert from_suffix_list(text.split("\n")) == ["ck", "cn", "com", "uk", "xn--fiqs8s", "中国"]


# --- anything ---


@given(st.text())
@example("http://\N{FULLWIDTH DIGIT ONE}.com")
def test_any_text_is_refused_or_has_a_public_name(text: str) -> None:
    for url in (text, f"http://{text}", f"http://{text}.com/", f"https://a.com{text}"):
        try:
            parsed = DEFAULT.check_url(url)
        except ModuleError as error:
            assert not error.fatal  # noqa: PT017
            continue
        assert parsed.scheme in ("http", "https")
        assert parsed.host.rpartition(".")[2] in root_zone()
        with pytest.raises(ValueError, match="does not appear"):
            ip_address(parsed.host.strip("[]"))
        assert DEFAULT.check_url(parsed.href) == parsed


@given(st.ip_addresses())
def test_no_address_is_accepted(address: object) -> None:
    text = str(address)
    _refused(DEFAULT, f"http://[{text}]/" if ":" in text else f"http://{text}/")
