"""Ways to a forbidden address, as data: for requests of contracts and for pages that a browser renders.

Each case is a URL that a contract names. Its host may be forbidden, its name may resolve to a forbidden address, or
the public server of the lab may redirect to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class Case:
    """``cause``: the structured error of a request under the default rules; None: it works (and reaches only the
    public server). ``door``: the cause where a script does not check URLs, so that the door alone decides."""

    name: str
    url: str
    cause: str | None
    door: str | None
    #: Whether a browser asked for this URL has to be kept from it, too; else the URL is none that it is asked for.
    renders: bool = True


def _to(target: str, status: int = 302) -> str:
    return f"http://public.example.com/go?status={status}&to={quote(target, safe='')}"


def _rebinding(host: str) -> str:
    return _to(f"http://{host}.example.com/").replace("public", host, 1)


_TLD, _DOOR, _SEND = "TLD_FORBIDDEN", "ADDRESS_FORBIDDEN", "SENDING_REQUEST"

#: Texts of 127.0.0.1 and other forbidden addresses.
_LITERALS = {
    "dotted": "http://127.0.0.1/",
    "decimal": "http://2130706433/",
    "octal": "http://0177.0.0.01/",
    "octal decimal": "http://017700000001/",
    "hexadecimal": "http://0x7f000001/",
    "hexadecimal parts": "http://0x7f.0x0.0x0.0x1/",
    "mixed notations": "http://0x7f.0.0.01/",
    "short, two parts": "http://127.1/",
    "short, three parts": "http://127.0.1/",
    "another loopback address": "http://127.0.0.9/",
    "zero": "http://0/",
    "zero dotted": "http://0.0.0.0/",
    "private 10": "http://10.0.0.5/",
    "private 172.16": "http://172.16.0.1/",
    "private 192.168": "http://192.168.1.1/",
    "link-local metadata": "http://169.254.169.254/latest/meta-data/",
    "metadata decimal": "http://2852039166/",
    "carrier NAT": "http://100.64.0.1/",
    "benchmarks": "http://198.18.0.1/",
    "documentation": "http://192.0.2.1/",
    "multicast": "http://224.0.0.1/",
    "broadcast": "http://255.255.255.255/",
    "percent-encoded": "http://%31%32%37.0.0.1/",
    "full-width digits": "http://１２７．０．０．１/",  # noqa: RUF001
    "circled digits": "http://①②⑦.⓪.⓪.①/",
    "ideographic full stops": "http://127。0。0。1/",
    "trailing dot": "http://127.0.0.1./",
    "IPv6 loopback": "http://[::1]/",
    "IPv6 loopback, long": "http://[0:0:0:0:0:0:0:1]/",
    "IPv6 unspecified": "http://[::]/",
    "IPv6 mapped": "http://[::ffff:127.0.0.1]/",
    "IPv6 mapped, hexadecimal": "http://[::ffff:7f00:1]/",
    "IPv6 compatible": "http://[::127.0.0.1]/",
    "IPv6 6to4": "http://[2002:7f00:1::]/",
    "IPv6 NAT64": "http://[64:ff9b::127.0.0.1]/",
    "IPv6 local NAT64": "http://[64:ff9b:1::7f00:1]/",
    "IPv6 Teredo": "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
    "IPv6 unique local": "http://[fd00::5]/",
    "IPv6 site local": "http://[fec0::1]/",
    "IPv6 link-local": "http://[fe80::1]/",
    "IPv6 multicast": "http://[ff02::1]/",
    "IPv6 documentation": "http://[2001:db8::1]/",
    "user info before": "http://public.example.com@127.0.0.1/",
    "user info with a colon": "http://public.example.com:80@127.0.0.1/",
    "backslash before user info": "http://127.0.0.1\\@public.example.com/",
    "white space around": " \thttp://127.0.0.1/\n",
    "white space inside": "ht\ntp://127.0\t.0.1/",
    "slashes missing": "http:127.0.0.1",
    "port 443": "http://127.0.0.1:443/",
    "TLS": "https://127.0.0.1/",
}

_NAMES = {
    "name of loopback": "loopback",
    "name of IPv6 loopback": "loopback6",
    "name of another loopback address": "other-loopback",
    "name of private addresses": "private",
    "name of metadata": "metadata",
    "name of a mapped address": "mapped",
    "name of a 6to4 address": "6to4",
    "name of a NAT64 address": "nat64",
    "name of a Teredo address": "teredo",
    "name of unique local addresses": "unique-local",
    "name of all addresses": "everything",
}

CASES: list[Case] = [
    *(Case(name, url, _TLD, _DOOR) for name, url in _LITERALS.items()),
    *(Case(name, f"http://{host}.example.com/", _DOOR, _DOOR) for name, host in _NAMES.items()),
    *(Case(f"{name}, TLS", f"https://{host}.example.com/", _DOOR, _DOOR) for name, host in list(_NAMES.items())[:2]),
    Case("IPv6 zone", "http://[fe80::1%25lo]/", "MALFORMED_URL", _SEND),
    Case("localhost", "http://localhost/", _TLD, _DOOR),
    Case("below localhost", "http://a.localhost/", _TLD, _DOOR),
    Case("localhost with a long s", "http://localho\u017ft/", _TLD, _DOOR),
    Case("internal name", "http://metadata.google.internal/", _TLD, _DOOR),
    Case("onion", "http://example.onion/", _TLD, _SEND),
    Case("trailing dot of a name", "http://loopback.example.com./", _TLD, _DOOR),
    Case("name without address", "http://gone.example.com/", _SEND, _SEND),
    Case("other port", "http://public.example.com:22/", "PORT_FORBIDDEN", _SEND, renders=False),
    Case("other port of loopback", "http://loopback.example.com:6379/", "PORT_FORBIDDEN", _DOOR),
    Case("file", "file:///etc/passwd", "SCHEMA_FORBIDDEN", _SEND),
    Case("file on a host", "file://127.0.0.1/etc/passwd", "SCHEMA_FORBIDDEN", _SEND),
    Case("data", "data:text/html,secret", "SCHEMA_FORBIDDEN", _SEND),
    Case("view-source", "view-source:http://127.0.0.1/", "SCHEMA_FORBIDDEN", _SEND),
    Case("blob", "blob:http://127.0.0.1/x", "SCHEMA_FORBIDDEN", _SEND),
    Case("about", "about:blank", "SCHEMA_FORBIDDEN", _SEND),
    Case("javascript", "javascript:location='http://127.0.0.1/'", "SCHEMA_FORBIDDEN", _SEND),
    Case("chrome", "chrome://version/", "SCHEMA_FORBIDDEN", _SEND),
    Case("WebSocket", "ws://127.0.0.1/", "SCHEMA_FORBIDDEN", _SEND),
    Case("WebSocket over TLS", "wss://public.example.com/", "SCHEMA_FORBIDDEN", _SEND),
    Case("FTP", "ftp://127.0.0.1/", "SCHEMA_FORBIDDEN", _SEND),
    Case("gopher", "gopher://127.0.0.1:6379/_FLUSHALL", "SCHEMA_FORBIDDEN", _SEND),
    Case("no URL", "127.0.0.1", "MALFORMED_URL", _SEND),
    Case("empty", "", "MALFORMED_URL", _SEND),
    Case("no host", "http://", "MALFORMED_URL", _SEND),
    *(
        Case(f"redirect {status} to {name}", _to(target, status), cause, cause)
        for status in (301, 302, 303, 307, 308)
        for name, target, cause in (
            ("an address", "http://127.0.0.1/", _DOOR),
            ("a name", "http://loopback.example.com/", _DOOR),
        )
    ),
    *(
        Case(f"redirect to {name}", _to(target), cause, cause)
        for name, target, cause in (
            ("decimal", "http://2130706433/", _DOOR),
            ("a relative scheme", "//127.0.0.1/", _DOOR),
            ("IPv6", "http://[::1]/", _DOOR),
            ("mapped IPv6", "http://[::ffff:127.0.0.1]/", _DOOR),
            ("NAT64", "http://[64:ff9b::7f00:1]/", _DOOR),
            ("another port", "http://127.0.0.1:8080/", _DOOR),
            ("metadata", "http://169.254.169.254/", _DOOR),
            ("user info", "http://public.example.com@127.0.0.1/", _DOOR),
            ("localhost", "http://localhost/", _DOOR),
            ("a file", "file:///etc/passwd", _SEND),
            ("data", "data:text/plain,x", _SEND),
            ("junk", "http://[", _SEND),
            ("a second redirect", _to("http://127.0.0.1/", 307), _DOOR),
            ("a third redirect", _to(_to("http://loopback6.example.com/", 308), 301), _DOOR),
        )
    ),
    Case("rebinding between two hops", _rebinding("rebinding"), _DOOR, _DOOR),
    Case("rebinding to IPv6 between two hops", _rebinding("rebinding6"), _DOOR, _DOOR),
    Case("mixed answer", "http://mixed.example.com/", None, None, renders=False),
    Case("public", "http://public.example.com/", None, None, renders=False),
    Case("public, in Unicode", "http://münchen.example.com/", None, None, renders=False),
    Case("public, redirect", _to("http://xn--mnchen-3ya.example.com/"), None, None, renders=False),
]
