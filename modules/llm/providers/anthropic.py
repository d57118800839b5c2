"""Anthropic's messages; objects and verdicts come through a tool (spec modules/02 §5.4)."""

from __future__ import annotations

from typing import Any, Final

from pygenvm.modules.llm.prompt import Format, Prompt, encoded_image
from pygenvm.modules.llm.providers.base import Usage, WireRequest, member, usage_of
from pygenvm.modules.llm.settings import Model

_TOOL: Final = "json_out"
_VERDICT_TOKENS: Final = 200
_ANY_OBJECT: Final = {
    "type": "object",
    "additionalProperties": {"type": ["object", "null", "array", "number", "string"]},
}
_VERDICT: Final = {
    "type": "object",
    "properties": {"result": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["result"],
}


def request(model: Model, prompt: Prompt, format: Format, key: str) -> WireRequest:
    content: Any = prompt.user_message
    if format != "bool":
        content = []
        for image in prompt.images:
            media_type, data = encoded_image(image)
            content.append({"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}})
        content.append({"type": "text", "text": prompt.user_message})
    body: dict[str, Any] = {
        "model": model.name,
        "max_tokens": _VERDICT_TOKENS if format == "bool" else prompt.max_tokens,
        "stream": False,
        "temperature": prompt.temperature,
        "messages": [{"role": "user", "content": content}],
    }
    if prompt.system_message is not None:
        body["system"] = prompt.system_message
    if format != "text":
        body["tools"] = [{"name": _TOOL, "input_schema": _VERDICT if format == "bool" else _ANY_OBJECT}]
        body["tool_choice"] = {"type": "tool", "name": _TOOL}
    return WireRequest("/v1/messages", {"x-api-key": key, "anthropic-version": "2023-06-01"}, body)


def usage(document: Any) -> Usage:
    return usage_of(document, "usage", input="input_tokens", output="output_tokens")


def content(document: Any, format: Format) -> Any:
    return member(document, "content", 0, "text" if format == "text" else "input")
