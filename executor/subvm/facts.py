"""What is known of a module before and after it runs; apart from the tools that find it out, which start-up skips."""

from __future__ import annotations

from typing import Any

from pygenvm.executor.frozen import Frozen


class ModuleFacts(metaclass=Frozen):
    """What a sub-VM wants to know of a module before and after it runs."""

    name: str | None
    """The module's own name, from its name section."""
    ban_function: int | None
    """Function index of ``$ban``: a trap with it as innermost frame is ``wasm_trap DeterministicMode``."""
    overflow_function: int | None
    """Function index of ``$overflow``: a trap with it as innermost frame is ``wasm_trap StackOverflow``."""
    grow_function: int | None
    """Function index of ``$grow``: a trap with it as innermost frame is ``OOM``."""
    refused_function: int | None
    """Function index of ``$refused``: a trap with it as innermost frame is the machine's refusal of memory."""
    grown_import: tuple[str, str] | None
    """Module and field of the memory that it grows, if that is imported."""
    memory_exports: tuple[str, ...]
    """An export name of each memory, by memory index, imported ones first."""
    memory_bytes: int
    """Initial size of the defined memories."""
    table_elements: int
    """Initial size of the defined tables."""
    content: tuple[int, int] | None
    """Place and size of what its memory begins with, if that is no data of the compiled module but the end of its
    artefact (:mod:`executor.subvm.wasm.content`)."""
    may_call_host: bool
    """Whether its instances may call functions of the executor: by an import, which another module may have passed on,
    or out of a table that it shares with others."""

    makes_images: bool
    """Whether it exports what programs do that have images (:mod:`executor.subvm.image`)."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {name: getattr(self, name) for name in ModuleFacts.__match_args__}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ModuleFacts:
        """Inverse of :meth:`to_json`; raises KeyError or TypeError for other objects."""
        grown, content = value.get("grown_import"), value.get("content")
        tuples = {
            "memory_exports": tuple(value["memory_exports"]),
            "grown_import": None if grown is None else tuple(grown),
            "content": None if content is None else tuple(content),
        }
        return cls(**{**value, **tuples})
