"""Ollama's own protocol (spec modules/02 §5.2)."""

from __future__ import annotations

from typing import Any

from pygenvm.modules.llm.prompt import Format, Prompt, encoded_image
from pygenvm.modules.llm.providers.base import Usage, WireRequest, member, usage_of
from pygenvm.modules.llm.settings import Model


def request(model: Model, prompt: Prompt, format: Format, key: str) -> WireRequest:
    body: dict[str, Any] = {
        "model": model.name,
        "prompt": prompt.user_message,
        "stream": False,
        "options": {"temperature": prompt.temperature, "num_predict": prompt.max_tokens},
        "images": [encoded_image(image)[1] for image in prompt.images],
    }
    if prompt.system_message is not None:
        body["system"] = prompt.system_message
    if format != "text":
        body["format"] = "json"
    return WireRequest("/api/generate", {}, body)


def usage(document: Any) -> Usage:
    return usage_of(document, input="prompt_eval_count", output="eval_count")


def content(document: Any, format: Format) -> Any:
    return member(document, "response")
