"""Versions that contracts declare, and the highest one allowed at a time (spec executor/07 "Contract version")."""

from __future__ import annotations

import time
from functools import cache

from pygenvm import schemas
from pygenvm.executor.frozen import Frozen
from pygenvm.executor.outcome import VMErrorRaised
from pygenvm.executor.primitives.abi import VmError

#: The characters with the Unicode property White_Space. A bare `str.strip()` removes U+001C to U+001F too.
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
_U16_MAX = 0xFFFF


class Version(tuple[int, int, int]):
    """Three u16; compares as a triple, so ``version < (0, 1, 5)`` works too."""

    __slots__ = ()

    # No NamedTuple: the compiler that those need takes as long to begin as all that a run imports of this package.
    def __new__(cls, major: int, minor: int, patch: int) -> Version:
        return super().__new__(cls, (major, minor, patch))

    def __getnewargs__(self) -> tuple[int, int, int]:
        return self.major, self.minor, self.patch

    @property
    def major(self) -> int:
        return self[0]

    @property
    def minor(self) -> int:
        return self[1]

    @property
    def patch(self) -> int:
        return self[2]

    def with_patch(self, patch: int) -> Version:
        return Version(self.major, self.minor, patch)

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read ``v0.1.10``; white space around it and the ``v`` are optional.

        :raises ValueError: not three dot-separated u16.
        """
        words = text.strip(WHITE_SPACE).removeprefix("v").split(".")
        if len(words) == 3 and all(word.isascii() and word.isdigit() for word in words):
            # Leading zeros are not significant, and five digits are all that a u16 has.
            parts = [int(digits[:6] or "0") for digits in (word.lstrip("0") for word in words)]
            if max(parts) <= _U16_MAX:
                return cls(*parts)
        raise ValueError(f"not a version: {text[:64]!r}")


class Limit(metaclass=Frozen):
    """The highest version of a time; with ``every_patch`` the newest known one, and any other patch of it will do."""

    version: Version
    every_patch: bool = False

    def __str__(self) -> str:
        return f"v{self.version.major}.{self.version.minor}.N" if self.every_patch else str(self.version)

    def admits(self, version: Version) -> bool:
        """Whether contracts may declare ``version``."""
        return version <= (self.version.with_patch(_U16_MAX) if self.every_patch else self.version)


def version_limit(unix_seconds: int) -> Limit:
    """The limit for a message datetime in whole seconds since the epoch; before 1970 counts as far future."""
    first, starts, limits = _table()
    if unix_seconds < 0:
        return limits[-1]
    begun = sum(start <= unix_seconds for start in starts)
    return limits[begun - 1] if begun else first


def check_version(version: Version, unix_seconds: int) -> None:
    """Refuse a contract whose version is above the limit for the message datetime.

    :raises VMErrorRaised: ``version_too_big``; the cause names both versions and the date.
    """
    limit = version_limit(unix_seconds)
    if not limit.admits(version):
        raise VMErrorRaised(
            VmError.VERSION_TOO_BIG,
            f"the contract asks for {version}; for a message of {_date(unix_seconds)} the highest version is {limit}",
        )


def _date(unix_seconds: int) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_seconds))
    except (OverflowError, ValueError, OSError):
        return f"{unix_seconds} seconds since 1970"


@cache
def _table() -> tuple[Limit, list[int], list[Limit]]:
    data = schemas.load("versions")
    rows = sorted(
        (row["from_seconds"], Limit(Version.parse(row["version"]), row.get("every_patch", False)))
        for row in data["rows"]
    )
    first = Limit(Version.parse(data["first_version"]))
    return first, [start for start, _ in rows], [limit for _, limit in rows]
