# mypy: ignore-errors
"""Runs inside the sandbox, after the contract's own module: adds a view that shows all storage as JSON text.

:mod:`localnet.chain.state` serves this source together with the contract's. It is no module of the local network; it
sees the SDK of the contract and needs nothing of it but the storage interface (spec sdk/02 §9). It must not name the
libraries for which contracts get a larger interpreter: whoever mentions them, in a comment too, runs with that.

Notation: that of ``pygenvm.localnet.values``, and ``{"$float": "0.5"}``, ``{"$datetime": "…"}``,
``{"$map": [[key, value], …]}`` for maps whose keys are no strings, ``{"$truncated": "…"}`` where a limit was reached,
``{"$unknown": "…"}``.
"""

import collections.abc
import datetime
import json

import genlayer.gl as gl
from genlayer.gl import genvm_contracts
from genlayer.py.storage import VLA, Indirection
from genlayer.py.types import Address


class Dump:
    """One walk over the storage; ``values_left``, ``text_left`` and ``depth`` bound it."""

    def __init__(self, values, text_bytes, all_text_bytes, depth):
        self.values_left = values
        self.text_bytes = text_bytes
        self.text_left = all_text_bytes
        self.depth = depth

    def record(self, view, depth):
        desc = view.__type_desc__
        return {
            escape(name): self.show(field.get(view._storage_slot, view._off + offset), depth)
            for name, (field, offset) in desc.props.items()
        }

    def show(self, value, depth):
        self.values_left -= 1
        if self.values_left < 0:
            return {"$truncated": "too many values"}
        if depth > self.depth:
            return {"$truncated": "too deep"}
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return self.integer(value)
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            cut = self.cut(value)
            shown = {"$bytes": "0x" + cut.hex()}
            return shown if cut == value else {"$truncated": f"{len(value)} bytes", "start": shown}
        if isinstance(value, Address):
            return {"$addr": value.as_hex}
        if isinstance(value, float):
            # One of an array's floats is a float too, with another repr.
            return {"$float": float.__repr__(value)}
        if isinstance(value, datetime.datetime):
            return {"$datetime": value.isoformat()}
        if isinstance(value, Indirection):
            return self.show(value.get(), depth + 1)
        if isinstance(value, collections.abc.Mapping):
            return self.mapping(value, depth + 1)
        if isinstance(value, VLA | collections.abc.Sequence):
            return self.sequence(value, depth + 1)
        if hasattr(value, "dtype"):
            return self.show(value.tolist(), depth + 1)
        if hasattr(getattr(value, "__type_desc__", None), "props"):
            return self.record(value, depth + 1)
        return {"$unknown": self.text(repr(value))}

    def cut(self, value):
        value = value[: max(0, min(self.text_bytes, self.text_left))]
        self.text_left -= len(value)
        return value

    def text(self, value):
        cut = self.cut(value)
        return cut if cut == value else {"$truncated": f"{len(value)} characters", "start": cut}

    def integer(self, value):
        # Python prints no number of more than 4300 digits.
        return value if value.bit_length() <= 4096 else {"$int": self.text(hex(value))}

    def mapping(self, value, depth):
        shown = []
        for key, item in value.items():
            if self.values_left <= 0:
                shown.append([{"$truncated": f"{len(value) - len(shown)} more entries"}, None])
                break
            shown.append([self.show(key, depth), self.show(item, depth)])
        if all(isinstance(key, str) for key, _ in shown):
            return {escape(key): item for key, item in shown}
        return {"$map": shown}

    def sequence(self, value, depth):
        shown = []
        for index in range(len(value)):
            if self.values_left <= 0:
                shown.append({"$truncated": f"{len(value) - index} more items"})
                break
            shown.append(self.show(value[index], depth))
        return shown


def escape(key):
    return "$" + key if key.startswith("$") else key


def dump(contract, *bounds):
    return json.dumps(Dump(*bounds).record(contract, 0))


# No Python identifier, so it cannot be the contract's own.
setattr(genvm_contracts.__known_contract__, "genvm-local-state", gl.public.view(dump))
