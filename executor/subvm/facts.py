"""What is known of a module before and after it runs; apart from the tools that find it out, which start-up skips."""

from __future__ import annotations

from typing import Any, NamedTuple


class ModuleFacts(NamedTuple):
    """What a sub-VM wants to know of a module before and after it runs."""

    name: str | None
    """The module's own name, from its name section."""
    ban_function: int | None
    """Function index of ``$ban``: a trap with it as innermost frame is ``wasm_trap DeterministicMode``."""
    overflow_function: int | None
    """Function index of ``$overflow``: a trap with it as innermost frame is ``wasm_trap StackOverflow``."""
    grow_function: int | None
    """Function index of ``$grow``: a trap with it as innermost frame is ``OOM``."""
    memory_exports: tuple[str, ...]
    """An export name of each memory, by memory index, imported ones first."""
    memory_bytes: int
    """Initial size of the defined memories."""
    table_elements: int
    """Initial size of the defined tables."""
    imports_host: bool
    """Whether the module imports from the modules that the executor provides."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return self._asdict()

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ModuleFacts:
        """Inverse of :meth:`to_json`; raises KeyError or TypeError for other objects."""
        return cls(**{**value, "memory_exports": tuple(value["memory_exports"])})
