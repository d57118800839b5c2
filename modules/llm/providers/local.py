"""A model in this process, from a file that the configuration names; nothing is downloaded.

It runs by llama.cpp (``pip install 'pygenvm[local-model]'``), in one thread per model: requests to a model come one
after the other, and whoever has stopped waiting ends the generation.
"""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pygenvm.modules.config import ConfigError
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.llm.answers import malformed
from pygenvm.modules.llm.prompt import Format, Prompt
from pygenvm.modules.llm.providers.base import Asker, Reply, Usage
from pygenvm.modules.llm.settings import Backend, Model

_LIBRARY = "llama_cpp"


class LocalProvider:
    """The models of one backend; a model is loaded when it is asked for the first time."""

    is_remote = False

    def __init__(self, backend: Backend, seed: int | None) -> None:
        self._backend = backend
        self._seed = seed
        self._loaded: dict[str, Any] = {}
        self._threads = {
            name: ThreadPoolExecutor(1, thread_name_prefix=f"model {name}"[:15]) for name in backend.models
        }

    async def start(self) -> None:
        key = ("backends", self._backend.name)
        if importlib.util.find_spec(_LIBRARY) is None:
            remedy = "pip install 'pygenvm[local-model]', which compiles for some minutes"
            raise ConfigError("the provider local needs llama-cpp-python", key=(*key, "provider"), remedy=remedy)
        for name, model in self._backend.models.items():
            if not Path(model.file).is_file():
                raise ConfigError(f"there is no file {model.file}", key=(*key, "models", name, "file"))

    async def close(self) -> None:
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)

    async def ask(self, model: Model, prompt: Prompt, format: Format, asker: Asker) -> Reply:
        if prompt.images:
            raise ModuleError("IMAGES_NOT_SUPPORTED", ctx={"provider": self._backend.name, "model": model.name})
        given_up = threading.Event()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                self._threads[model.name], self._generate, model, prompt, format, given_up
            )
        except asyncio.CancelledError:
            given_up.set()
            raise

    def _generate(self, model: Model, prompt: Prompt, format: Format, given_up: threading.Event) -> Reply:
        if given_up.is_set():
            raise ModuleError("ABANDONED")
        messages = [{"role": "user", "content": prompt.user_message}]
        if prompt.system_message is not None:
            messages.insert(0, {"role": "system", "content": prompt.system_message})
        wanted = {} if format == "text" else {"response_format": {"type": "json_object"}}
        try:
            chunks: Iterator[Any] = self._model(model).create_chat_completion(
                messages=messages,
                temperature=prompt.temperature,
                max_tokens=prompt.max_tokens,
                seed=self._seed,
                stream=True,
                **wanted,
            )
            return _collected(chunks, given_up)
        except ModuleError:
            raise
        except Exception as error:
            # Of the library nobody knows what it raises: a context that is too small is a ValueError.
            ctx = {"rust_error": f"{type(error).__name__}: {error}"}
            raise ModuleError("LOCAL_MODEL_FAILED", ctx=ctx) from error

    def _model(self, model: Model) -> Any:
        if model.name not in self._loaded:
            from llama_cpp import Llama

            self._loaded[model.name] = Llama(
                model_path=model.file, n_ctx=model.context_tokens, n_threads=model.threads, verbose=False
            )
        return self._loaded[model.name]


def _collected(chunks: Iterator[Any], given_up: threading.Event) -> Reply:
    """One chunk comes per token."""
    parts: list[str] = []
    for chunk in chunks:
        if given_up.is_set():
            raise ModuleError("ABANDONED")
        try:
            parts.append(chunk["choices"][0]["delta"].get("content") or "")
        except (LookupError, AttributeError, TypeError):
            raise malformed("the library streams something else") from None
    return Reply(Usage(None, sum(map(bool, parts))), "".join(parts))
