"""The rows about the LLM and web services: what they add to what they ask (:mod:`benchmarks.servers`)."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import aiohttp

from benchmarks.measure import Row, interleaved, scaled
from benchmarks.servers import PAGE
from benchmarks.support import HOST_DATA, BenchmarkError, own_environment
from pygenvm.executor import interpreter
from pygenvm.executor.config import executable_dir
from pygenvm.executor.module_protocol.client import ModuleClient
from pygenvm.executor.module_protocol.codec import Hello, Ok, Request, read_llm_answer, read_web_answer
from pygenvm.modules.cli.serving import default_file
from pygenvm.modules.config import read_document

_MS = 1e3
_WARM_UP = 5
#: What a near server on the Internet takes, and a fast model.
_PAGE_SECONDS, _MODEL_SECONDS = 0.02, 0.1


@contextlib.contextmanager
def server(kind: str, argument: object) -> Iterator[str]:
    """URL of one of :mod:`benchmarks.servers`."""
    command = [sys.executable, "-P", "-m", "benchmarks.servers", kind, str(argument)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=own_environment()) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@contextlib.contextmanager
def service(name: str, **changes: Any) -> Iterator[str]:
    """Address of a service with the configuration that it comes with, but for the changes."""
    shipped = read_document(default_file(name), None, executable_dir())
    document = {**shipped, "bind_address": "127.0.0.1:0", "log_level": "error", **changes}
    ready, theirs = os.pipe()
    command = interpreter.command("pygenvm.modules.cli", name, "--config", "-", "--ready-fd", str(theirs))
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(theirs,)) as process:
        os.close(theirs)
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(document).encode())
            process.stdin.close()
            with os.fdopen(ready) as word:
                told = json.loads(word.readline() or "{}")
            if "listening" not in told:
                raise BenchmarkError(f"the {name} service does not start: {told.get('error')}")
            yield told["listening"]
        finally:
            process.terminate()


@contextlib.contextmanager
def _module(name: str, **changes: Any) -> Iterator[ModuleClient]:
    """A session on such a service."""
    with (
        service(name, **changes) as address,
        contextlib.closing(ModuleClient(name, address, Hello("bench", HOST_DATA))) as client,
    ):
        yield client


def _timed(work: Callable[[], None]) -> Callable[[], float]:
    def run() -> float:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun

    return run


def _asked(url: str, method: str, body: bytes | None = None) -> Callable[[], None]:
    """A request to a proxy over a connection that is kept."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))

    def work() -> None:
        connection.request(method, "/", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200 or not answer.read():
            raise BenchmarkError(f"the proxy answers {answer.status}")

    return work


def web_request(rounds: int) -> list[Row]:
    """A page that a contract requests, with and without the web service between."""
    return [*_web_request(_PAGE_SECONDS, rounds), *_web_request(0.0, rounds)]


def _web_request(page_seconds: float, rounds: int) -> list[Row]:
    payload: dict[str, Any] = {"method": "GET", "headers": {}, "body": None, "sign": False}
    with (
        server("page", page_seconds) as page,
        server("proxy", page) as proxy,
        _module("web", always_allow_hosts=["127.0.0.1"]) as client,
        contextlib.closing(asyncio.new_event_loop()) as loop,
    ):

        def ours() -> None:
            answer = client.ask(Request("Request", {**payload, "url": f"{page}/"}), read_web_answer)
            if not isinstance(answer, Ok) or answer.value["response"]["body"] != PAGE:
                raise BenchmarkError(f"the web module answers {answer}")

        async def get() -> None:
            async with aiohttp.ClientSession() as session, session.get(page) as answer:
                await answer.read()

        runs = {"ours": _timed(ours), "bare": _timed(lambda: loop.run_until_complete(get()))}
        runs["proxy"] = _timed(_asked(proxy, "GET"))
        samples = interleaved(runs, rounds, _WARM_UP)
    what = f"Request of a page that takes {page_seconds * _MS:.0f} ms" if page_seconds else "Request of a page at once"
    ours_took = scaled(samples["ours"], _MS)
    common: Mapping[str, Any] = {"name": "web-request", "unit": "ms", "ours": ours_took}
    direct = Row(
        title=what,
        yardstick=scaled(samples["bare"], _MS),
        yardstick_is="aiohttp without a service between",
        ratio_at_most=1.5 if page_seconds else None,
        **common,
    )
    if page_seconds:
        return [direct]
    return [
        direct,
        Row(
            title=what,
            yardstick=scaled(samples["proxy"], _MS),
            yardstick_is="a bare proxy of aiohttp, also a connection for each",
            ratio_at_most=1.5,
            **common,
        ),
    ]


_BACKEND = {"provider": "openai-compatible", "key": "none", "models": {"model": {}}}


def llm_prompt(rounds: int) -> list[Row]:
    """A prompt to a model, through the LLM service and through a bare proxy."""
    return [row for seconds in (_MODEL_SECONDS, 0.0) for row in _llm_prompt(seconds, rounds)]


def _llm_prompt(model_seconds: float, rounds: int) -> list[Row]:
    prompt = {"prompt": "Is it raining?" * 20, "images": [], "response_format": "text"}
    request = Request("Prompt", {"payload": prompt, "remaining_fuel_as_gen": 1 << 50})
    with (
        server("model", model_seconds) as model,
        server("proxy", f"{model}/v1/chat/completions") as proxy,
        _module("llm", backends={"bench": {**_BACKEND, "host": model}}) as client,
    ):

        def ours() -> None:
            answer = client.ask(request, read_llm_answer)
            if not isinstance(answer, Ok) or answer.value.data != "yes":
                raise BenchmarkError(f"the LLM module answers {answer}")

        messages = [{"role": "user", "content": [{"type": "text", "text": prompt["prompt"]}]}]
        body = json.dumps({"model": "model", "stream": False, "temperature": 0.7, "messages": messages}).encode()
        runs = {"ours": _timed(ours), "proxy": _timed(_asked(proxy, "POST", body))}
        samples = interleaved(runs, rounds, _WARM_UP)
    return [
        Row(
            name="llm-prompt",
            title=f"prompt to a model that takes {model_seconds * _MS:.0f} ms"
            if model_seconds
            else "prompt to a model at once",
            unit="ms",
            ours=scaled(samples["ours"], _MS),
            yardstick=scaled(samples["proxy"], _MS),
            yardstick_is="a bare proxy of aiohttp",
            ratio_at_most=1.5,
        )
    ]
