"""Answers from a file, for authors without a key and for tests (:mod:`modules.mocks` has the format)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pygenvm.modules.config import ConfigError
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.limits import LLM_SHOWN_CHARS
from pygenvm.modules.llm.prompt import Format, Prompt
from pygenvm.modules.llm.providers.base import Asker, Reply, Usage
from pygenvm.modules.llm.settings import Backend, Model
from pygenvm.modules.mocks import MockAnswers, MockFileError, find, read_mock_file


class MockProvider:
    """The request of the contract and the prompt as the script has made it are both looked at for patterns."""

    is_remote = False

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._answers = MockAnswers()

    async def start(self) -> None:
        try:
            self._answers = read_mock_file(Path(self._backend.file))
        except MockFileError as error:
            raise ConfigError(str(error), key=("backends", self._backend.name, "file")) from None

    async def close(self) -> None: ...

    async def ask(self, model: Model, prompt: Prompt, format: Format, asker: Asker) -> Reply:
        texts = (*asker.texts, prompt.user_message)
        mock = find(self._answers.llm, *texts, node=asker.node)
        if mock is None:
            ctx = {"prompt": texts[0][:LLM_SHOWN_CHARS], "file": self._backend.file}
            raise ModuleError("NO_MOCK_FOR_PROMPT", ctx=ctx)
        await mock.pause()
        return Reply(Usage(0, 0), _as_written(mock.respond(texts[0]), format))


def _as_written(response: Any, format: Format) -> Any:
    """As a model would have written it."""
    if format == "bool" and isinstance(response, bool):
        return {"result": response}
    if format == "json" and isinstance(response, dict):
        return response
    return response if isinstance(response, str) else json.dumps(response, ensure_ascii=False)
