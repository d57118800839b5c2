"""A model as an object."""

import typing
from collections.abc import Iterable, Mapping

from .distance import Vector
from .models import get_model


class Model:
    """A model by name, with the element type of each input."""

    def __init__(self, name: str, inputs: Mapping[str, typing.Any]) -> None:
        self._compute = get_model(name, inputs)

    def __call__(self, inputs: Mapping[str, typing.Any], outputs: Iterable[str] | None = None) -> dict[str, Vector]:
        """All outputs by name, or those that are asked for."""
        computed = self._compute(**inputs)
        return computed if outputs is None else {name: computed[name] for name in outputs}
