"""What the kernel says about the memory of a process."""

from __future__ import annotations

from pathlib import Path


def memory_of(pid: int) -> dict[str, int]:
    """Bytes by kind: ``Rss``, ``Pss`` (shared pages divided among those that have them), ``Private`` and the others."""
    found: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, value = line.split(":")
        found[name] = int(value.split()[0]) << 10
    found["Private"] = found["Private_Clean"] + found["Private_Dirty"]
    return found
