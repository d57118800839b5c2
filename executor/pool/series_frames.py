"""What an executor that carries out a series of runs and its client tell each other (sans-IO).

A frame is its length in 4 bytes, little-endian, and that many bytes of msgpack: an array of the kind and the fields.

=======  =======================  ================================================================================
kind     from                     fields
=======  =======================  ================================================================================
run      client                   log level or nil, map of the addresses of modules by name where they are not those
                                  of the configuration, map of the arguments, what is lent or nil
reply    client                   bytes of the reply to a request, as on the wire of the host protocol
storage  client                   pages of the address that was asked for, whether those are all
pages    client                   map of those pages that were ever written, by number
request  executor                 bytes of a request, as on the wire of the host protocol
storage  executor                 address
pages    executor                 address, slot, first and last page
written  executor                 pages that the run has written, how many bytes
print    executor                 1 for stdout, 2 for stderr, 3 for the log; bytes
ended    executor                 exit code, whether the executor may take another run, whether the run would do the
                                  same again: it was given neither chance nor time
ready    executor                 none
=======  =======================  ================================================================================

What is lent is :class:`executor.host_protocol.lent.Lent`; pages are arrays of slot, number and content. Both sides are
of one version: the executor was forked from the client, or from its own pool.

An executor that is ready is given a run, which is answered with everything else, and in the end with ended. A request
waits for a reply if the host protocol has one and it is not consume_result; storage and pages wait for their namesakes.
"""

from __future__ import annotations

import struct
from typing import Any

import msgpack

from pygenvm.executor import limits
from pygenvm.executor.pool.frames import FrameError

_LENGTH = struct.Struct("<I")


def encode(kind: str, *fields: Any) -> bytes:
    """A frame.

    :raises FrameError: it would be too long.
    """
    # Texts of a command line may hold what is no Unicode.
    data: bytes = msgpack.packb([kind, *fields], unicode_errors="surrogatepass")
    if len(data) > limits.SERIES_FRAME_BYTES:
        raise FrameError(f"a frame of {len(data)} bytes, at most {limits.SERIES_FRAME_BYTES} are sent")
    return _LENGTH.pack(len(data)) + data


class SeriesDecoder:
    """Frames out of a stream of bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> None:
        self._buffer += data

    def next_frame(self) -> list[Any] | None:
        """Kind and fields, None as long as there is no complete frame.

        :raises FrameError: these bytes are none; the stream is of no use any more.
        """
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > limits.SERIES_FRAME_BYTES:
            raise FrameError(f"a frame of {length} bytes, at most {limits.SERIES_FRAME_BYTES} are accepted")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        with memoryview(self._buffer) as view:
            data = bytes(view[_LENGTH.size : end])
        del self._buffer[:end]
        try:
            frame = msgpack.unpackb(data, unicode_errors="surrogatepass", strict_map_key=False, use_list=True)
        except (ValueError, msgpack.UnpackException) as error:
            raise FrameError(f"not a frame: {error!s:.200}") from error
        if not isinstance(frame, list) or not frame or not isinstance(frame[0], str):
            raise FrameError("not a frame")
        return frame
