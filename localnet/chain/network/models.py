"""What a network asks of the models of its validators (:mod:`localnet.modules.validators`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from pygenvm.localnet.chain.network.types import (
    Model,
)
from pygenvm.localnet.errors import BadValue


class Models(Protocol):
    """Who answers what the executors of validators ask (:mod:`localnet.modules.validators`)."""

    def known(self) -> list[tuple[Model, bool, bool]]:
        """Models that there are, at least one; and whether provider and model can be asked."""
        ...

    def available(self, model: Model) -> tuple[bool, bool]:
        """The same of any model."""
        ...

    def use(self, models: Mapping[str, Model]) -> None:
        """What the nodes of these addresses ask."""
        ...

    def also(self, models: Mapping[str, Model]) -> contextlib.AbstractContextManager[None]:
        """Of nodes that are there for a while only."""
        ...

    def install(self, llm: Any, web: Any, *, strict: bool) -> tuple[int, int]:
        """Answers for all nodes; how many. :raises BadValue: they cannot be used."""
        ...


class SameModels:
    """All nodes have the modules of their executors."""

    def known(self) -> list[tuple[Model, bool, bool]]:
        return [(Model("default", "default"), True, True)]

    def available(self, model: Model) -> tuple[bool, bool]:
        return model.provider == "default", model.provider == "default"

    def use(self, models: Mapping[str, Model]) -> None:
        pass

    @contextlib.contextmanager
    def also(self, models: Mapping[str, Model]) -> Iterator[None]:
        yield

    def install(self, llm: Any, web: Any, *, strict: bool) -> tuple[int, int]:
        raise BadValue("this network has no mocks")
