"""Filters of scripts for prompts and images (spec modules/02 §7)."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from PIL import Image, ImageFilter
from wcwidth import wcwidth

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.scripting.frames import ScriptError

# --- texts ----------------------------------------------------------------------------------------


def filter_text(text: str, names: Sequence[str]) -> str:
    """The text after the named filters in this order.

    :raises ScriptError: a name is not known.
    """
    for name in names:
        if name not in _TEXT_FILTERS:
            raise ScriptError(f"filter_text: unknown filter `{name[:64]}`")
        text = _TEXT_FILTERS[name](text)
    return text


class _Visible(dict[int, int | None]):
    """For ``str.translate``: what has no width in a terminal is dropped, but for LF."""

    def __missing__(self, code: int) -> int | None:
        if len(self) > 1 << 16:
            self.clear()
            self[ord("\n")] = ord("\n")
        self[code] = code if wcwidth(chr(code)) > 0 else None
        return self[code]


_VISIBLE: Final = _Visible({ord("\n"): ord("\n")})

#: A run of Unicode's white space without LF.
_BLANKS: Final = re.compile("[\t\x0b-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


def _normalize_ws(text: str) -> str:
    lines = (_BLANKS.sub(" ", line).strip(" ") for line in text.split("\n"))
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).lstrip("\n")


_TEXT_FILTERS: Final[Mapping[str, Callable[[str], str]]] = {
    "NFC": lambda text: unicodedata.normalize("NFC", text),
    "NFKC": lambda text: unicodedata.normalize("NFKC", text),
    "RmZeroWidth": lambda text: text.translate(_VISIBLE),
    "NormalizeWS": _normalize_ws,
}

# --- images ---------------------------------------------------------------------------------------


def filter_image(data: bytes, filters: Sequence[Any]) -> bytes:
    """The PNG that is left of a PNG, JPEG or WebP after the filters, each a map ``{name: parameter}``.

    :raises ModuleError: ``INVALID_IMAGE``.
    :raises ScriptError: a filter is not known, or its parameter is wrong.
    """
    image = _opened(data)
    for one in filters:
        if not isinstance(one, Mapping) or len(one) != 1:
            raise ScriptError("filter_image: a filter is a table {Name = parameter}")
        ((name, parameter),) = one.items()
        if name not in _IMAGE_FILTERS:
            raise ScriptError(f"filter_image: unknown filter `{str(name)[:64]}`")
        image = _IMAGE_FILTERS[name](image, parameter)
    return _saved(image, "PNG")


def _opened(data: bytes) -> Image.Image:
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
        if image.width * image.height > limits.FILTER_PIXELS_MAX:
            raise ValueError(f"{image.width}x{image.height} pixels are too many")
        image.load()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ModuleError("INVALID_IMAGE", ctx={"rust_error": str(error)}) from None
    transparent = image.has_transparency_data
    return image.convert("RGBA" if transparent else "L" if image.mode in ("1", "L") else "RGB")


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def _blur(image: Image.Image, parameter: Any) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(_number(parameter, "sigma", 0, 100)))


def _unsharpen(image: Image.Image, parameter: Any) -> Image.Image:
    if isinstance(parameter, Mapping):
        parameter = [parameter.get("sigma"), parameter.get("threshold")]
    if not isinstance(parameter, list) or len(parameter) != 2:
        raise ScriptError("filter_image: Unsharpen needs {sigma, threshold}")
    sigma = _number(parameter[0], "sigma", 0, 100)
    threshold = _number(parameter[1], "threshold", 0, 255)
    return image.filter(ImageFilter.UnsharpMask(radius=sigma, percent=100, threshold=int(threshold)))


def _jpeg(image: Image.Image, parameter: Any) -> Image.Image:
    quality = round(min(max(_number(parameter, "quality"), 0.0), 1.0) * 100)
    # JPEG has no transparency; the quality of Pillow begins at 1.
    opaque = image.convert("RGB") if image.mode == "RGBA" else image
    result = _opened(_saved(opaque, "JPEG", quality=max(quality, 1)))
    return result


def _denoise(image: Image.Image, parameter: Any) -> Image.Image:
    raise ScriptError("filter_image: Denoise is not implemented")


_IMAGE_FILTERS: Final[Mapping[str, Callable[[Image.Image, Any], Image.Image]]] = {
    "Unsharpen": _unsharpen,
    # The name is misspelled in scripts of deployments; it is a blur.
    "GuassianNoise": _blur,
    "GaussianNoise": _blur,
    "JPEG": _jpeg,
    "JpegRecompress": _jpeg,
    "Denoise": _denoise,
}


def _number(value: Any, name: str, least: float = float("-inf"), most: float = float("inf")) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ScriptError(
            f"filter_image: {name} must be a number" + (f" of {least:g} to {most:g}" if most < 1e9 else "")
        )
    return float(value)
