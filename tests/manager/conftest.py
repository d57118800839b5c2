"""A manager process that tests share: without runners, its executors run :mod:`tests.support.machine`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pygenvm.executor.module_protocol.codec import Ok
from tests.manager.process import ManagerProcess, manager_process
from tests.support.execution import config_file
from tests.support.module_server import ModuleServer, answering, serving_module


@pytest.fixture(scope="session")
def web_module() -> Iterator[ModuleServer]:
    """The web service of the shared manager's executors: each page has the same text."""
    with serving_module(answering(Ok({"text": "page"}))) as server:
        yield server


@pytest.fixture(scope="session")
def shared_manager(web_module: ModuleServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagerProcess]:
    root = tmp_path_factory.mktemp("manager")
    modules = {"web": {"address": web_module.address}, "llm": {"address": "ws://127.0.0.1:9"}}
    with manager_process(root, config={"executor_config": str(config_file(root, modules=modules))}) as manager:
        yield manager
        manager.idle()
        assert manager.end() == 0
        assert manager.stderr.read_text() == ""


@pytest.fixture
def manager(shared_manager: ManagerProcess) -> Iterator[ManagerProcess]:
    """The shared one, idle again after the test."""
    yield shared_manager
    shared_manager.idle()
