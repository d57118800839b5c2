import tarfile

import pytest

from runners.registry import build


@pytest.fixture(scope="session")
def softfloat_wasm() -> bytes:
    """softfloat.wasm out of the runner's archive, built if need be."""
    archive = build(jobs=1, only="softfloat", progress=False).archive("softfloat")
    with tarfile.open(archive) as tar:
        file = tar.extractfile("softfloat.wasm")
        assert file is not None
        return file.read()
