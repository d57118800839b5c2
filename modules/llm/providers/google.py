"""Gemini (spec modules/02 §5.3). The key stands in the URL, so no URL is ever shown as it is."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pygenvm.modules.llm.prompt import Format, Prompt, encoded_image
from pygenvm.modules.llm.providers.base import Usage, WireRequest, member, usage_of
from pygenvm.modules.llm.settings import Model


def request(model: Model, prompt: Prompt, format: Format, key: str) -> WireRequest:
    parts: list[dict[str, Any]] = []
    for image in prompt.images:
        media_type, data = encoded_image(image)
        parts.append({"inline_data": {"mime_type": media_type, "data": data}})
    parts.append({"text": prompt.user_message})
    body: dict[str, Any] = {
        "generationConfig": {
            "responseMimeType": "text/plain" if format == "text" else "application/json",
            "temperature": prompt.temperature,
            "maxOutputTokens": prompt.max_tokens,
        },
        "contents": [{"parts": parts}],
    }
    if prompt.system_message is not None:
        body["system_instruction"] = {"parts": [{"text": prompt.system_message}]}
    path = f"/v1beta/models/{quote(model.name, safe='')}:generateContent?key={quote(key, safe='')}"
    return WireRequest(path, {}, body)


def usage(document: Any) -> Usage:
    return usage_of(document, "usageMetadata", input="promptTokenCount", output="candidatesTokenCount")


def content(document: Any, format: Format) -> Any:
    return member(document, "candidates", 0, "content", "parts", 0, "text")
