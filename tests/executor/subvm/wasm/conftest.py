import tarfile

import pytest

from pygenvm.runners.registry import build


@pytest.fixture(scope="session")
def softfloat_wasm() -> bytes:
    """softfloat.wasm out of the runner's archive, which is built if need be; the other runners are not wanted here."""
    archive = build(jobs=1, only="softfloat", progress=False).archive("softfloat")
    with tarfile.open(archive) as tar:
        file = tar.extractfile("softfloat.wasm")
        assert file is not None
        return file.read()
