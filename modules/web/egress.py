"""The one door to the network (spec modules/03 §7): what :func:`Egress.resolve` does not give, nobody connects to.

Requests of contracts go through it as the door of an :class:`~modules.http.HttpClient`, the browser's through the
filtering proxy of the rendering service, which opens its connections with :meth:`Egress.open_connection`. Names are
resolved here, all addresses are checked, and the connection is made to a checked address, so that an answer which
changes between the two has no effect. Connections are never kept: each is resolved and checked anew.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import Url, redacted_url, refuse_downgrade
from pygenvm.modules.web.admission import host_of

Address: TypeAlias = IPv4Address | IPv6Address
#: Name to addresses, in the order to try them. Raises OSError for names that do not exist.
Resolver: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
#: How an attempt to connect ended.
Outcome: TypeAlias = Literal["ok", "dns", "refused", "timeout", "forbidden"]

ADDRESS_FORBIDDEN = "ADDRESS_FORBIDDEN"

# --- addresses ------------------------------------------------------------------------------------

_BLOCKED_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' NAT
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local; metadata of clouds
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
#: All that is assigned for use between networks; what is not in here is loopback, private, local or nothing.
_GLOBAL_V6 = IPv6Network("2000::/3")
_BLOCKED_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation
        ),
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")


class AddressPolicy:
    """Which addresses may be connected to. ``exempt``: networks that may whatever the rules say."""

    def __init__(self, exempt: Iterable[str] = ()) -> None:
        self._exempt = [ip_network(network) for network in exempt]

    def allows(self, address: Address) -> bool:
        if any(address in network for network in self._exempt):
            return True
        if isinstance(address, IPv4Address):
            return not any(address in network for network in _BLOCKED_V4)
        if address.scope_id is not None:
            return False
        inner = _inner_v4(address)
        if inner is not None:
            return self.allows(inner)
        return address in _GLOBAL_V6 and not any(address in network for network in _BLOCKED_V6)


def _inner_v4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address at which packets for this one arrive."""
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _6TO4:
        return IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)
    return None


# --- names ----------------------------------------------------------------------------------------

_lookups: ThreadPoolExecutor | None = None


async def system_resolver(name: str) -> Sequence[str]:
    """The system's answer. Look-ups have threads of their own, so that slow ones hold up nothing else."""
    global _lookups
    if _lookups is None:
        _lookups = ThreadPoolExecutor(limits.DNS_THREADS, "dns")
    return await asyncio.get_running_loop().run_in_executor(_lookups, _addresses, name)


def _addresses(name: str) -> list[str]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


# --- the door -------------------------------------------------------------------------------------


class Unreachable(OSError):
    """No connection came about, though none was forbidden."""

    def __init__(self, outcome: Outcome, text: str) -> None:
        super().__init__(text)
        self.strerror = text  # aiohttp shows nothing else
        self.outcome = outcome


def outcome_of(error: BaseException) -> Outcome:
    """What :meth:`Egress.resolve` or :meth:`Egress.open_connection` raised, in one word."""
    if isinstance(error, ModuleError):
        return "forbidden"
    if isinstance(error, Unreachable):
        return error.outcome
    return "timeout" if isinstance(error, TimeoutError) else "refused"


class Egress:
    """``always_allow_hosts`` are reached wherever they are; for all others the policy decides, address by address."""

    def __init__(
        self,
        *,
        always_allow_hosts: Collection[str] = (),
        policy: AddressPolicy | None = None,
        resolver: Resolver = system_resolver,
    ) -> None:
        self._always = frozenset(map(host_of, always_allow_hosts))
        self._policy = policy or AddressPolicy()
        self._resolver = resolver

    async def resolve(self, host: str) -> list[Address]:
        """The addresses that may be connected to for ``host``, a name or an address in any notation.

        :raises ModuleError: ``ADDRESS_FORBIDDEN``, not fatal: there are none among those it has.
        :raises Unreachable: it has none (outcome ``dns``), or nobody says in time.
        """
        try:
            canonical = host_of(host)
        except ValueError as error:
            raise Unreachable("dns", f"dns error: {error}") from None
        literal = _literal(canonical)
        found = [literal] if literal is not None else await self._look_up(canonical)
        if canonical not in self._always:
            found = [address for address in found if self._policy.allows(address)]
            if not found:
                raise forbidden(canonical)
        return found[: limits.ADDRESSES_TRIED]

    async def open_connection(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection to one of the addresses of :meth:`resolve`, which raises, too.

        :raises Unreachable: outcome ``refused`` (also for any other failure of the network) or ``timeout``.
        """
        addresses = await self.resolve(host)
        failure = Unreachable("refused", f"cannot connect to {host}:{port}")
        for address in addresses:
            try:
                async with asyncio.timeout(limits.HTTP_CONNECT_SECONDS / len(addresses)):
                    return await asyncio.open_connection(str(address), port)
            except TimeoutError:
                failure = Unreachable("timeout", f"no connection to {host}:{port} in time")
            except (OSError, OverflowError) as error:
                failure = Unreachable("refused", f"cannot connect to {host}:{port}: {error}")
        raise failure

    async def _look_up(self, name: str) -> list[Address]:
        try:
            async with asyncio.timeout(limits.DNS_SECONDS):
                answer = await self._resolver(name)
        except TimeoutError:
            raise Unreachable("dns", f"dns error: no answer for {name} in time") from None
        except (OSError, UnicodeError) as error:
            raise Unreachable("dns", f"dns error: {name}: {error}") from None
        if not answer:
            raise Unreachable("dns", f"dns error: {name} has no address")
        return [ip_address(text) for text in answer]

    # As the door of a HttpClient.

    def admit(self, url: Url, previous: Url | None) -> None:
        """A hop of a request; names are looked at when they are resolved."""
        if url.host in self._always:
            return
        refuse_downgrade(url, previous)
        literal = _literal(url.host)
        if literal is not None and not self._policy.allows(literal):
            raise forbidden(url.host, redacted_url(url.href))

    def connector(self) -> aiohttp.BaseConnector:
        return aiohttp.TCPConnector(
            resolver=_Resolver(self), use_dns_cache=False, force_close=True, limit=limits.HTTP_CONNECTIONS
        )


class _Resolver(AbstractResolver):
    """aiohttp's way to ask; it connects to what it is told here and nowhere else."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._egress.resolve(host)
        ]

    async def close(self) -> None:
        pass


def forbidden(host: str, url: str | None = None) -> ModuleError:
    """What a host without an allowed address gets (spec modules/03 §7)."""
    ctx = {"rust_error": f"no address of {host} may be connected to"}
    return ModuleError(ADDRESS_FORBIDDEN, fatal=False, ctx=ctx | ({"url": url} if url is not None else {}))


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None
