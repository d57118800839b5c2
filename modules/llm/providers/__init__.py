"""Who answers prompts: four wire formats, written answers, and a model in this process (spec modules/02 §5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pygenvm.modules.http import HttpClient
from pygenvm.modules.llm.providers import anthropic, google, ollama, openai_compatible
from pygenvm.modules.llm.providers.base import HttpProvider, Provider, WireFormat
from pygenvm.modules.llm.providers.local import LocalProvider
from pygenvm.modules.llm.providers.mock import MockProvider
from pygenvm.modules.llm.settings import Backend
from pygenvm.modules.log import Secrets

_WIRES: Final[Mapping[str, WireFormat]] = {
    "openai-compatible": openai_compatible,
    "ollama": ollama,
    "google": google,
    "anthropic": anthropic,
}


def provider_for(backend: Backend, *, http: HttpClient, secrets: Secrets, seed: int | None = None) -> Provider:
    """What asks the models of a backend."""
    match backend.provider:
        case "mock":
            return MockProvider(backend)
        case "local":
            return LocalProvider(backend, seed)
    return HttpProvider(backend, _WIRES[backend.provider], http, secrets)
