"""Services of a network whose validators ask different models (:mod:`localnet.chain.network`).

A node tells its address when it asks for the first time, and what it gets depends on the model of the validator with
that address:

1. ``plugin_config`` has ``mock_response`` or ``mock_web_response`` (spec localnet-rpc/01 §5): they answer, and nobody
   else does;
2. answers for all nodes were installed, and one fits;
3. the provider ``default``, and the web: as for every other command (:mod:`localnet.modules.opened`);
4. any other provider: that backend of the LLM service's configuration, or one that ``plugin``, ``api_url`` and
   ``api_key_env_var`` of ``plugin_config`` describe, with that model alone; or the mock file, if there is one, which
   answers for everybody.

A request to the LLM service has no place for a validator's ``config``. So what a configuration of the service can say
of a model stands in the one that is made for the validator: :data:`TUNED`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pygenvm.executor.module_protocol.codec import MalformedFrame, decode_hello
from pygenvm.localnet import limits
from pygenvm.localnet.chain import consensus
from pygenvm.localnet.chain.network.types import Model
from pygenvm.localnet.errors import BadRequest, BadValue
from pygenvm.localnet.modules.broker import Answering, Source, Unavailable
from pygenvm.localnet.modules.mocked import MockedSession
from pygenvm.localnet.modules.settings import NO_MODEL, Settings
from pygenvm.modules.mocks import Mock, MockAnswers, MockFileError, parse_mocks

if TYPE_CHECKING:
    from pygenvm.executor.module_protocol.modules import ModuleName

T = TypeVar("T")

#: Whatever the LLM service is configured with.
DEFAULT: Final = Model("default", "default")
#: Members of a model's ``config`` that reach it: what the shipped script looks for in ``meta``, and a key of its own.
TUNED: Final = ("temperature", "max_tokens")
_FLAG: Final = "use_max_completion_tokens"
#: Names of plugins, and what the LLM service calls them.
_PLUGINS: Final = {
    "openai": "openai-compatible",
    "openai-compatible": "openai-compatible",
    "custom": "openai-compatible",
    "openrouter": "openai-compatible",
    "anthropic": "anthropic",
    "google": "google",
    "ollama": "ollama",
}


class ValidatorModels:
    """Who answers which validator (:class:`localnet.chain.network.network.Models`)."""

    def __init__(
        self,
        llm: Callable[[], Settings] | None = None,
        service: Callable[[Settings], Source] | None = None,
    ) -> None:
        """
        :param llm: the configuration of the LLM service, for models of providers.
        :param service: such a service with a configuration of its own.
        """
        self._llm = llm
        self._service = service
        self._mocked = False
        self._models: dict[str, Model] = {}
        self._while: dict[str, Model] = {}
        self._installed: tuple[MockAnswers, bool] | None = None
        self._mocks: dict[str, MockAnswers] = {}
        self._services: dict[str, Source] = {}
        self._document: Mapping[str, Any] | None = None
        self._names: list[str] | None = None

    def over(self, usual: Mapping[ModuleName, Source]) -> dict[ModuleName, Source]:
        """Sources that choose for each node."""
        return {name: _Chosen(self, name, source) for name, source in usual.items()}

    def serve(
        self, llm: Callable[[], Settings], service: Callable[[Settings], Source], *, mocked: bool = False
    ) -> None:
        """Says where models of providers come from, if nobody has said it.

        :param mocked: nowhere: what answers usually answers for all of them.
        """
        self._mocked = mocked
        self._llm = self._llm or llm
        self._service = self._service or service

    # --- what a network says ----------------------------------------------------------------------

    def known(self) -> list[tuple[Model, bool, bool]]:
        """The default, then all models of the LLM service's configuration."""
        found = [(DEFAULT, True, True)]
        usable = self._usable()
        for name, backend in self._backends().items():
            for model, section in (backend.get("models") or {}).items():
                plugin_config = {"api_url": backend.get("host", "")}
                known = Model(name, str(model), {}, str(backend.get("provider", "")), plugin_config)
                there = self._mocked or name in usable
                enabled = not isinstance(section, Mapping) or section.get("enabled", True) is not False
                found.append((known, there, there and enabled))
        return found

    def available(self, model: Model) -> tuple[bool, bool]:
        """Whether a model's provider, and it, can be asked."""
        if self._mocked or model.provider == DEFAULT.provider or _mocks_of(model):
            return True, True
        there = model.provider in self._usable() or self._described(model) is not None
        return there, there

    def use(self, models: Mapping[str, Model]) -> None:
        """What the nodes of these addresses ask."""
        self._models = {address.lower(): model for address, model in models.items()}

    @contextlib.contextmanager
    def also(self, models: Mapping[str, Model]) -> Iterator[None]:
        """Of nodes that are there for a while only."""
        mine = {address.lower(): model for address, model in models.items()}
        self._while |= mine
        try:
            yield
        finally:
            for address in mine:
                self._while.pop(address, None)

    def install(self, llm: Any, web: Any, *, strict: bool) -> tuple[int, int]:
        """Answers for all nodes, in the form of a mock file; without ``strict`` the service is asked where none fits.

        :raises BadValue: they cannot be used.
        """
        if not all(part is None or isinstance(part, Mapping | list) for part in (llm, web)):
            raise BadValue("mocks are a map, or a list of maps (docs/modules.md)")
        entries = [*(web.values() if isinstance(web, Mapping) else web or ())]
        if any(isinstance(entry, Mapping) and "file" in entry for entry in entries):
            raise BadValue("answers that are installed cannot be files")
        try:
            answers = parse_mocks({"llm": llm or {}, "web": web or {}}, folder=Path("/"))
        except MockFileError as error:
            raise BadValue(str(error)) from error
        self._installed = (answers, strict) if answers.llm or answers.web else None
        return len(answers.llm), len(answers.web)

    # --- what nodes get ---------------------------------------------------------------------------

    async def open(self, name: ModuleName, usual: Source, hello: bytes) -> Answering:
        """A session for a node."""
        try:
            data = decode_hello(hello).host_data
        except MalformedFrame as error:
            raise Unavailable(str(error)) from error
        address, node = str(data["node_address"]).lower(), str(data.get("mock_node") or consensus.LEADER)
        model = self._while.get(address) or self._models.get(address) or DEFAULT
        if name in _mocks_of(model):
            return MockedSession(self._mocks_for(model), f"the mocks of the validator {address}", node)

        async def ask_service() -> Answering:
            return await self._source(name, model, usual).open(hello)

        if self._installed is None:
            return await ask_service()
        answers, strict = self._installed
        return MockedSession(answers, "installed mocks", node, otherwise=None if strict else ask_service)

    def _source(self, name: ModuleName, model: Model, usual: Source) -> Source:
        if name != "llm" or self._mocked or model.provider == DEFAULT.provider:
            return usual
        said = [model.provider, model.model, dict(model.config), model.plugin, dict(model.plugin_config)]
        key = json.dumps(said, sort_keys=True)
        return _known(self._services, key, lambda: self._service_for(model))

    def _service_for(self, model: Model) -> Source:
        if self._llm is None or self._service is None:
            raise Unavailable(f"{NO_MODEL} of the provider {model.provider}")
        settings = self._llm()
        backend = self._described(model) or settings.document.get("backends", {}).get(model.provider)
        if backend is None:
            raise Unavailable(f"{NO_MODEL} of the provider {model.provider}")
        said = (backend.get("models") or {}).get(model.model) or {}
        only = {**backend, "enabled": True, "models": {model.model: _tuned({**said, "enabled": True}, model.config)}}
        document = {**settings.document, "backends": {model.provider: only}}
        return self._service(Settings("llm", document, settings.folder))

    def _described(self, model: Model) -> dict[str, Any] | None:
        """A backend as a validator's plugin describes it."""
        config = model.plugin_config
        kind, host = _PLUGINS.get(model.plugin), str(config.get("api_url") or "")
        known = self._backends().get(model.provider)
        if kind is None or not host or (known is not None and known.get("host") == host):
            return None
        variable = str(config.get("api_key_env_var") or "")
        key = os.environ.get(variable, "") if variable else "none"
        features = {"supports_json": True, "supports_image": True}
        return {"provider": kind, "host": host, "key": key, "models": {model.model: features}}

    def _backends(self) -> dict[str, dict[str, Any]]:
        if self._document is None:
            if self._llm is None:
                return {}
            try:
                # Once: whoever looks at the providers of a network looks often.
                self._document = self._llm().document
            except BadRequest:
                return {}
        found: dict[str, dict[str, Any]] = self._document.get("backends") or {}
        return found

    def _usable(self) -> list[str]:
        from pygenvm.modules.config import ConfigError
        from pygenvm.modules.llm.settings import usable_backends

        if self._names is None:
            backends = self._backends()
            if not backends:
                return []
            try:
                self._names = usable_backends({"backends": backends})
            except ConfigError:
                self._names = []
        return self._names

    def _mocks_for(self, model: Model) -> MockAnswers:
        key = json.dumps(dict(model.plugin_config), sort_keys=True, default=str)
        return _known(self._mocks, key, lambda: mocks_of_config(model.plugin_config))


def _known(found: dict[str, T], key: str, make: Callable[[], T]) -> T:
    """What was made for ``key`` before; not more of it is kept than a network has validators."""
    if key not in found:
        if len(found) >= limits.NETWORK_VALIDATORS:
            del found[next(iter(found))]
        found[key] = make()
    return found[key]


class _Chosen:
    """The source of one service."""

    def __init__(self, models: ValidatorModels, name: ModuleName, usual: Source) -> None:
        self._of = models
        self._name = name
        self._usual = usual

    async def open(self, hello: bytes) -> Answering:
        return await self._of.open(self._name, self._usual, hello)


def _tuned(section: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a model with what a validator wants of it."""
    meta = section.get("meta")
    wanted = {name: config[name] for name in TUNED if config.get(name) is not None}
    if wanted:
        section = {**section, "meta": {**(meta if isinstance(meta, Mapping) else {}), **wanted}}
    if isinstance(config.get(_FLAG), bool):
        section = {**section, _FLAG: config[_FLAG]}
    return section


def _mocks_of(model: Model) -> list[ModuleName]:
    """The services that a validator's own mocks answer for."""
    names: list[ModuleName] = []
    if model.plugin_config.get("mock_response"):
        names.append("llm")
    if model.plugin_config.get("mock_web_response"):
        names.append("web")
    return names


def mocks_of_config(config: Mapping[str, Any]) -> MockAnswers:
    """The mocks of a ``plugin_config``: keys are pieces of prompts, principles and URLs, not patterns.

    :raises BadValue: they have another form.
    """
    said, web = _map(config.get("mock_response")), _map(config.get("mock_web_response"))
    llm: list[Mock] = []
    for key, template in (
        ("eq_principle_prompt_comparative", "EqComparative"),
        ("eq_principle_prompt_non_comparative", "EqNonComparativeValidator"),
    ):
        llm += [
            Mock(re.compile(rf"\A{template}\n(?s:.*){re.escape(principle)}"), None, verdict)
            for principle, verdict in _map(said.get(key)).items()
        ]
    llm += [Mock(re.compile(re.escape(piece)), None, answer) for piece, answer in _map(said.get("response")).items()]
    pages = []
    for url, page in _map(web.get("nondet_web_request")).items():
        response = (
            {"status": page.get("status", 200), "body": page.get("body", "")} if isinstance(page, Mapping) else page
        )
        method = str(page.get("method") or "GET").upper() if isinstance(page, Mapping) else "GET"
        pages.append(Mock(re.compile(rf"\A{re.escape(url)}/?\Z"), method, response))
    return MockAnswers(web=pages, llm=llm)


def _map(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise BadValue("mocks of a validator are maps of texts")
    return value
