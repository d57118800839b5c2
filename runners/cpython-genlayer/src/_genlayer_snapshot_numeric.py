"""As ``_genlayer_snapshot``, with NumPy and Pillow."""

import _genlayer_snapshot
import numpy
import PIL.Image

_genlayer_snapshot.MODULES += (
    *("numpy", "numpy.fft", "numpy.linalg", "numpy.ma", "numpy.polynomial", "numpy.random", "numpy.lib.stride_tricks"),
    *("PIL", "PIL.Image", "PIL.ImageChops", "PIL.ImageDraw", "PIL.ImageFilter", "PIL.ImageOps", "PIL.ImageStat"),
    *("PIL.BmpImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin", "PIL.PngImagePlugin"),
    *("PIL.PpmImagePlugin", "PIL.WebPImagePlugin", "genlayer.py.storage._internal.desc_numpy"),
)


def prepare():
    """That of ``_genlayer_snapshot``, after what finds Pillow's plugins by listing a folder."""
    PIL.Image.preinit()
    numpy.random.seed()
    _genlayer_snapshot.prepare()


def start():
    """That of ``_genlayer_snapshot``; the state of ``numpy.random`` is as random as this VM is, not as the build was."""
    numpy.random.seed()
    return _genlayer_snapshot.start()


def image():
    """That of ``_genlayer_snapshot``, as :func:`start`."""
    numpy.random.seed()
    return _genlayer_snapshot.image()
