"""One small internet and one browser for all tests of this folder that can share them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pygenvm.modules.webdriver.service import RenderingService
from tests.modules.webdriver.support import Client, Internet, Loop, require_browser, service


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture(scope="session")
def whole_internet(loop: Loop) -> Iterator[Internet]:
    internet = Internet()
    loop.run(internet.__aenter__())
    yield internet
    loop.run(internet.__aexit__())


@pytest.fixture
def internet(whole_internet: Internet) -> Iterator[Internet]:
    """Without pages; nothing may come to its forbidden listeners."""
    whole_internet.clear()
    yield whole_internet
    assert not whole_internet.reached


@pytest.fixture(scope="session")
def rendering(loop: Loop, whole_internet: Internet) -> Iterator[RenderingService]:
    """With small bounds, so that pages reach them soon."""
    require_browser()
    made = service(loop, whole_internet, text_bytes_max=1 << 20, page_bytes_max=4 << 20)
    yield made
    loop.run(made.stop(0))


@pytest.fixture
def client(rendering: RenderingService) -> Client:
    return Client(rendering.address)
