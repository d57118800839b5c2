"""Views of the LP-186 schema bucket 0xC0: layouts that were published, but that no message of a chain has.

How lists are packed in slots is not known, so slots are bytes here (spec settlement/02 §12).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pygenvm.settlement.codec.zap import Builder, ZapError, open_message


class Layout(NamedTuple):
    """Kind byte, size of the object, and fields in the order of declaration: name, offset, and what is there.

    A letter of :mod:`struct` is a scalar, a number the size of a byte array, and ``slot`` an offset and a length.
    """

    kind: int
    size: int
    fields: tuple[tuple[str, int, str | int], ...]


VERTEX: Final = Layout(
    1,
    96,
    (
        ("epoch", 4, "I"),
        ("height", 8, "Q"),
        ("timestamp", 16, "q"),
        ("id", 24, 32),
        ("parents", 56, "slot"),
        ("tx_ids", 64, "slot"),
        ("job_ids", 72, "slot"),
        ("tasks", 80, "slot"),
        ("results", 88, "slot"),
    ),
)
QUERY_TX: Final = Layout(
    2,
    116,
    (
        ("priority", 1, "B"),
        ("fee", 8, "Q"),
        ("deadline", 16, "q"),
        ("id", 24, 32),
        ("job_id", 56, "slot"),
        ("model_id", 64, "slot"),
        ("prompt", 72, "slot"),
        ("params", 80, "slot"),
        ("requester", 88, 20),
        ("signature", 108, "slot"),
    ),
)
INFERENCE_TX: Final = Layout(
    3,
    216,
    (
        ("status", 1, "B"),
        ("gas_used", 8, "Q"),
        ("completed_at", 16, "q"),
        ("id", 24, 32),
        ("query_id", 56, 32),
        ("model_hash", 88, 32),
        ("input_hash", 120, 32),
        ("output_hash", 152, 32),
        ("output", 184, "slot"),
        ("attestation", 192, "slot"),
        ("provider", 200, "slot"),
        ("signature", 208, "slot"),
    ),
)


def encode(layout: Layout, values: dict[str, int | bytes]) -> bytes:
    """A message of this layout; ``values`` has every field."""
    builder = Builder()
    root = builder.root(layout.size)
    root.set("B", 0, layout.kind)
    for name, offset, kind in layout.fields:
        value = values[name]
        if isinstance(value, int):
            root.set(str(kind), offset, value)
        elif kind == "slot":
            root.bytes(offset, value)
        elif len(value) == kind:
            root.fixed(offset, value)
        else:
            raise ValueError(f"{name} is not {kind} bytes")
    return builder.finish(root)


def decode(layout: Layout, data: bytes) -> dict[str, int | bytes]:
    """``ZapError`` for another kind of message, ``ErrWrongKind`` in the proposal."""
    root, _ = open_message(data)
    if root.get("B", 0) != layout.kind:
        raise ZapError("lp-186: wrong kind byte")
    found: dict[str, int | bytes] = {}
    for name, offset, kind in layout.fields:
        if isinstance(kind, int):
            found[name] = root.fixed(offset, kind)
        else:
            found[name] = root.bytes(offset) if kind == "slot" else root.get(kind, offset)
    return found
