"""Storage in pages, and what may be taken over."""

from __future__ import annotations

import pytest

from pygenvm.executor import limits
from pygenvm.executor.host_protocol.host import HostErrorReply
from pygenvm.executor.host_protocol.lent import Lent, by_slot, listed
from pygenvm.executor.host_protocol.paged import PAGE_BYTES, SLOT_PAGES, PagedStorage
from pygenvm.executor.pool.frames import FrameError
from pygenvm.executor.pool.series_frames import SeriesDecoder, encode
from tests.support.hosts import CONTRACT, SENDER

SLOT = bytes(32)


def storage() -> PagedStorage:
    below = {(CONTRACT, SLOT, 0): b"below"}
    return PagedStorage(
        lambda address, slot, first, last: {
            page: below[address, slot, page] for page in range(first, last + 1) if (address, slot, page) in below
        },
        read_bytes_max=3 * PAGE_BYTES,
        pages_max=2,
    )


def test_what_was_adopted_lies_over_what_was_there() -> None:
    made = storage()
    made.adopt(CONTRACT, {(SLOT, 1): b"new"}, 7)
    assert (made.read(CONTRACT, SLOT, 0, 5), made.read(CONTRACT, SLOT, PAGE_BYTES, 4)) == (b"below", b"new\0")
    assert (made.read(SENDER, SLOT, PAGE_BYTES, 4), made.bytes_written) == (bytes(4), 7)
    made.write(CONTRACT, SLOT, PAGE_BYTES + 1, b"i")
    assert made.written_pages() == {(CONTRACT.as_bytes, SLOT, 1): b"niw"}
    made.write(CONTRACT, SLOT, 0, b"B")
    with pytest.raises(HostErrorReply, match="out_of_storage_gas"):
        made.write(CONTRACT, SLOT, 2 * PAGE_BYTES, b"a third page")


@pytest.mark.parametrize(
    ("pages", "count"),
    [
        ({(SLOT, 1): bytes(PAGE_BYTES + 1)}, 0),
        ({(SLOT, SLOT_PAGES): b"x"}, 0),
        ({(SLOT, -1): b"x"}, 0),
        ({(b"short", 1): b"x"}, 0),
        ({(SLOT, page): b"x" for page in range(3)}, 0),
        ({}, -1),
    ],
)
def test_what_no_run_can_have_written(pages: dict[tuple[bytes, int], bytes], count: int) -> None:
    made = storage()
    with pytest.raises(ValueError, match=r"page|write"):
        made.adopt(CONTRACT, pages, count)
    assert made.read(CONTRACT, SLOT, 0, 5) == b"below"


@pytest.mark.parametrize("rows", [[(SLOT, "1", b"x")], [(SLOT, True, b"x")], [(SLOT, 1)], [1], [("s", 1, b"x")]])
def test_what_is_no_page(rows: list[object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        by_slot(rows)


def test_what_is_lent_travels() -> None:
    lent = Lent(CONTRACT.as_bytes, b"data", {(SLOT, 3): b"x"}, True, {(SLOT, 4): b"y"}, 9, False, 10, 11, True)
    decoder = SeriesDecoder()
    for byte in encode("run", None, lent.packed()):
        assert decoder.next_frame() is None
        decoder.feed(bytes([byte]))
    frame = decoder.next_frame()
    assert frame is not None
    assert (frame[:2], Lent.unpacked(frame[2])) == (["run", None], lent)
    assert by_slot(listed(lent.pages)) == lent.pages


@pytest.mark.parametrize("data", [b"\x01\0\0\0\xc1", b"\x01\0\0\0\x01", b"\x01\0\0\0\x90", b"\x02\0\0\0\x91\x01"])
def test_what_is_no_frame(data: bytes) -> None:
    decoder = SeriesDecoder()
    decoder.feed(data)
    with pytest.raises(FrameError):
        decoder.next_frame()


def test_frames_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERIES_FRAME_BYTES", 100)
    with pytest.raises(FrameError, match="at most 100"):
        encode("print", 1, bytes(200))
    decoder = SeriesDecoder()
    decoder.feed((101).to_bytes(4, "little"))
    with pytest.raises(FrameError, match="101 bytes"):
        decoder.next_frame()
