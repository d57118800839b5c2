"""The writer of runner archives (spec executor/07 "tar", "Build side")."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.runner.hashing import archive_hash
from pygenvm.runners.errors import BuildError
from pygenvm.runners.tar import NAME_MAX, RECORD, write_tar
from tests.support.properties import examples

FILE_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=20)


def test_header_bytes() -> None:
    header = write_tar({"runner.json": b"{}\n"})[:512]
    assert header[:12] == b"runner.json\0"
    assert header[100:108] == b"0000644\0"
    assert header[108:124] == b"0000000\0" * 2
    assert header[124:136] == b"00000000003\0"
    assert header[136:148] == b"00000000000\0"
    assert header[156:157] == b"0"
    assert header[257:265] == b"ustar\x0000"
    assert header[345:] == bytes(167)


def test_same_bytes_as_an_empty_tar_record() -> None:
    files = {"b": b"x" * 513, "a/é.py": b"", "runner.json": b"{}\n"}
    expected = io.BytesIO()
    with tarfile.open(fileobj=expected, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files, key=str.encode):
            record = tarfile.TarInfo(name)
            record.size = len(files[name])
            archive.addfile(record, io.BytesIO(files[name]))
    assert write_tar(files) == expected.getvalue()


def test_hash_of_a_small_archive() -> None:
    archive = write_tar({"runner.json": b'{"LinkWasm":"softfloat.wasm"}\n'})
    assert len(archive) == RECORD
    assert archive_hash(archive) == "16mzyzd0v52sw530m6xy13jgbig58bsixkl66yncayh96x3mz6q3"


@given(st.dictionaries(FILE_NAMES, st.binary(max_size=2000), max_size=8))
@examples(100)
def test_other_readers_get_the_files_back_in_order(files: dict[str, bytes]) -> None:
    data = write_tar(files)
    assert len(data) % RECORD == 0
    assert data == write_tar(dict(reversed(files.items())))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = [member.name.encode() for member in archive]
        found = {}
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            found[member.name] = file.read()
    assert names == sorted(names)
    assert found == files


@pytest.mark.parametrize("name", ["", "a/", "a\0b", "x" * (NAME_MAX + 1), "é" * 50])
def test_refuses_names_that_readers_would_change(name: str) -> None:
    with pytest.raises(BuildError, match="cannot be in a runner archive"):
        write_tar({name: b""})


def test_longest_name() -> None:
    name = "d/" + "x" * (NAME_MAX - 2)
    with tarfile.open(fileobj=io.BytesIO(write_tar({name: b"1"}))) as archive:
        assert archive.getnames() == [name]
