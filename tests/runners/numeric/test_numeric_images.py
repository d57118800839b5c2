"""Pillow in contracts: pictures open, damaged ones are exceptions, and ones that lie about their size are refused."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from tests.runners.python.python_contracts import value_of_script

pytestmark = pytest.mark.usefixtures("numeric_runners")

PIL = "import PIL\n"
MODES = pytest.mark.parametrize("nondet", [False, True])

_OPEN = """\
import hashlib, io
from PIL import Image

def main(data):
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return [image.format, image.mode, list(image.size), hashlib.sha256(image.tobytes()).digest()]
"""


def screenshot() -> Image.Image:
    """Something like a page: areas, gradients, noise."""
    noise = hashlib.shake_256(b"noise").digest(3 * 320 * 200)
    picture = Image.frombytes("RGB", (320, 200), noise)
    picture.paste((250, 250, 250), (0, 0, 320, 150))
    picture.paste(Image.linear_gradient("L").resize((120, 60)), (20, 20))
    return picture


def saved(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


@MODES
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 90}),
        ("JPEG", {"quality": 60, "progressive": True, "subsampling": 2}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("PPM", {}),
        ("TIFF", {}),
    ],
)
def test_pictures_are_decoded_as_elsewhere(format: str, options: dict[str, Any], nondet: bool) -> None:
    data = saved(screenshot(), format, **options)
    with Image.open(io.BytesIO(data)) as here:
        expected = [here.format, here.mode, list(here.size), hashlib.sha256(here.tobytes()).digest()]
    assert value_of_script(_OPEN, data, nondet=nondet, imports=PIL) == expected


_WORK = """\
import hashlib, io
import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

def main(data):
    image = Image.open(io.BytesIO(data))
    made = [
        image.resize((100, 77), Image.Resampling.LANCZOS), image.rotate(33, expand=True), image.convert("L"),
        image.filter(ImageFilter.GaussianBlur(2)), image.quantize(16).convert("RGB"), ImageOps.equalize(image),
        ImageChops.difference(image, ImageOps.mirror(image)), Image.fromarray(np.asarray(image)[::2, ::-1].copy()),
    ]
    ImageDraw.Draw(made[0]).text((3, 3), "text", fill=(1, 2, 3))
    for format, options in (("PNG", {}), ("JPEG", {"quality": 70}), ("WEBP", {"quality": 50}), ("GIF", {})):
        file = io.BytesIO()
        made[0].save(file, format, **options)
        made.append(Image.open(file))
    return [hashlib.sha256(picture.tobytes()).digest() for picture in made]
"""


def test_pictures_have_the_same_pixels_in_both_modes() -> None:
    data = saved(screenshot(), "PNG")
    soft, hard = (value_of_script(_WORK, data, nondet=nondet, imports=PIL) for nondet in (False, True))
    assert soft == hard


# --- damaged and lying files ---

_TRY = """\
import hashlib, io, warnings
from PIL import Image, ImageFile

def one(data, size):
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return hashlib.sha256(image.tobytes()).hexdigest()
    except Exception as error:
        return type(error).__name__

def main(files):
    warnings.simplefilter("error")
    return [one(data, None) for data in files]
"""


def damaged(data: bytes, count: int) -> list[bytes]:
    """Cut off, with bytes changed, and with parts missing, at places that spread over the file."""
    found = []
    for number in range(count):
        seed = hashlib.sha256(b"%d" % number).digest()
        at = int.from_bytes(seed[:4], "big") % len(data)
        match number % 4:
            case 0:
                found.append(data[:at])
            case 1:
                found.append(data[:at] + seed[4:8] + data[at + 4 :])
            case 2:
                found.append(data[:at] + data[at + seed[5] :])
            case _:
                found.append(data[: min(at, 700)] + bytes([seed[6] ^ 255]) + data[min(at, 700) + 1 :])
    return found


@pytest.mark.parametrize(
    ("format", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {})]
)
def test_damaged_pictures_are_exceptions_or_pictures(format: str, options: dict[str, Any]) -> None:
    """The sandbox goes on after each of them; what libjpeg does about errors is longjmp elsewhere."""
    files = damaged(saved(screenshot().resize((160, 100)), format, **options), 60)
    soft = value_of_script(_TRY, files, imports=PIL)
    assert soft == value_of_script(_TRY, files, nondet=True, imports=PIL)
    errors = {text for text in soft if text.endswith("Error")}
    assert "OSError" in errors or "UnidentifiedImageError" in errors
    assert errors <= {"OSError", "UnidentifiedImageError", "SyntaxError", "ValueError"}, errors


def png_header(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_pictures_that_are_too_large_are_refused() -> None:
    """Pillow's limit: a warning from 89 million pixels on, an error from twice as many on."""
    bomb = zlib.compress(bytes(1 << 24), 9)
    lying_jpeg = bytearray(saved(screenshot(), "JPEG"))
    at = lying_jpeg.index(b"\xff\xc0") + 5
    lying_jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    files = [
        png_header(60_000, 60_000, bomb),
        png_header(10_000, 10_000, bomb),
        bytes(lying_jpeg),
        png_header(9_000, 9_000, bomb),
    ]
    found = value_of_script(_TRY, files, imports=PIL)
    assert found[:3] == ["DecompressionBombError", "DecompressionBombWarning", "DecompressionBombError"]
    assert found[3] == "OSError"
