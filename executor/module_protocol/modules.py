"""The LLM and web services as a run has them (spec executor/04 "Modules").

Most runs never ask one: what speaks to them is loaded when one does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from pygenvm.executor.outcome import ModuleFault

if TYPE_CHECKING:
    from pygenvm.executor.module_protocol.codec import AnswerReader, Ok, Request, UserError


class Service(Protocol):
    """One service as a run uses it: over connections (:mod:`executor.module_protocol.client`), or out of a record."""

    @property
    def calls(self) -> int: ...
    @property
    def time_ns(self) -> int: ...
    def ask(self, request: Request, read: AnswerReader) -> Ok | UserError: ...
    def statistics(self) -> Any: ...
    def close(self) -> None: ...


ModuleName: TypeAlias = Literal["web", "llm"]


class Fuel(Protocol):
    """The part of the host that knows what prompts may cost."""

    def remaining_fuel_as_gen(self) -> int: ...
    def consume_fuel(self, amount: int) -> None: ...


class Modules:
    """Both services of one run. Methods may be called from several threads; none is for the main thread."""

    def __init__(self, web: Service, llm: Service, fuel: Fuel) -> None:
        self.web = web
        self.llm = llm
        self._fuel = fuel

    def ask(self, module: ModuleName, name: str, payload: Any) -> dict[str, Any]:
        """Answer to the request ``name`` as the contract sees it: ``{"ok": answer}`` or ``{"error": value}``.

        A language model is told the remaining fuel, and what an Ok costs is reported to the host.

        :raises VMErrorRaised: the host refuses to tell the remaining fuel.
        :raises ModuleFault: FatalError, no or a malformed answer.
        :raises GuestFault: the request is too long.
        :raises HostFault: the host is gone.
        """
        return self._ask_web(name, payload) if module == "web" else self._ask_llm(name, payload)

    def _ask_web(self, name: str, payload: Any) -> dict[str, Any]:
        from pygenvm.executor.module_protocol.codec import Request, UserError, read_web_answer

        answer = self.web.ask(Request(name, payload), read_web_answer)
        return {"error": answer.value} if isinstance(answer, UserError) else {"ok": answer.value}

    def _ask_llm(self, name: str, payload: Any) -> dict[str, Any]:
        from pygenvm.executor.module_protocol.codec import Request, UserError, read_llm_answer

        request = Request(name, {"payload": payload, "remaining_fuel_as_gen": self._fuel.remaining_fuel_as_gen()})
        answer = self.llm.ask(request, read_llm_answer)
        if isinstance(answer, UserError):
            return {"error": answer.value}
        self._fuel.consume_fuel(answer.value.consumed_gen)
        data = answer.value.data
        if type(data) not in (str, bool, dict):
            raise ModuleFault(f"llm module: {name}: data is a {type(data).__name__}")
        return {"ok": data}

    def close(self) -> None:
        """Part with both services; requests that still wait, and later ones, fail."""
        self.web.close()
        self.llm.close()


class OnDemand:
    """A service that nobody has asked yet: made when somebody does. May be used from several threads."""

    def __init__(self, make: Callable[[], Service]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: Service | None = None
        self._closed = False

    @property
    def calls(self) -> int:
        return 0 if self._made is None else self._made.calls

    @property
    def time_ns(self) -> int:
        return 0 if self._made is None else self._made.time_ns

    def ask(self, request: Request, read: AnswerReader) -> Ok | UserError:
        with self._lock:
            if self._made is None:
                self._made = self._make()
                if self._closed:
                    self._made.close()
        return self._made.ask(request, read)

    def statistics(self) -> Any:
        return None if self._made is None else self._made.statistics()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        if self._made is not None:
            self._made.close()
