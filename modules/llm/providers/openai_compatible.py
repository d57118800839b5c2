"""Chat completions, as OpenAI and most servers have them (spec modules/02 §5.1)."""

from __future__ import annotations

from typing import Any

from pygenvm.modules.llm.prompt import Format, Prompt, encoded_image
from pygenvm.modules.llm.providers.base import Usage, WireRequest, member, usage_of
from pygenvm.modules.llm.settings import Model


def request(model: Model, prompt: Prompt, format: Format, key: str) -> WireRequest:
    content: Any = [{"type": "text", "text": prompt.user_message}]
    for image in prompt.images:
        media_type, data = encoded_image(image)
        content.append({"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}})
    if model.text_content == "string" and not prompt.images:
        # Some servers take nothing else, or lose the text of a list.
        content = prompt.user_message
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if prompt.system_message is not None:
        messages.insert(0, {"role": "system", "content": prompt.system_message})
    body: dict[str, Any] = {
        "model": model.name,
        "stream": False,
        "temperature": prompt.temperature,
        "messages": messages,
        "max_completion_tokens" if prompt.use_max_completion_tokens else "max_tokens": prompt.max_tokens,
    }
    if format != "text":
        body["response_format"] = {"type": "json_object"}
    return WireRequest("/v1/chat/completions", {"authorization": f"Bearer {key}"}, body)


def usage(document: Any) -> Usage:
    return usage_of(document, "usage", input="prompt_tokens", output="completion_tokens")


def content(document: Any, format: Format) -> Any:
    return member(document, "choices", 0, "message", "content")
