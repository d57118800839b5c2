"""Corrections of the sources of NumPy and Pillow.

WebAssembly checks the type of a function whenever it is called through a pointer. Python's tables of methods hold
functions that take fewer arguments than they are called with, which other machines forgive; here they would trap. They
get the missing parameter. Found with clang's -Wcast-function-type-strict and a comparison of PyMethodDef's flags with
the functions; nothing warns of a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pygenvm.runners.errors import BuildError

_MULTIARRAY = "numpy/_core/src/multiarray"

#: Texts and what stands for them, by file. Each is there exactly once.
NUMPY: Mapping[str, tuple[tuple[str, str], ...]] = {
    f"{_MULTIARRAY}/array_converter.c": (
        (
            "array_converter_get_scalar_input(PyArrayArrayConverterObject *self)",
            "array_converter_get_scalar_input(PyArrayArrayConverterObject *self, void *NPY_UNUSED(closure))",
        ),
    ),
    f"{_MULTIARRAY}/array_method.c": (
        (
            "boundarraymethod__supports_unaligned(PyBoundArrayMethodObject *self)",
            "boundarraymethod__supports_unaligned(PyBoundArrayMethodObject *self, void *NPY_UNUSED(closure))",
        ),
    ),
    f"{_MULTIARRAY}/getset.c": (
        (
            "\narray_descr_set(PyArrayObject *self, PyObject *arg)\n",
            "\narray_descr_set(PyArrayObject *self, PyObject *arg, void *NPY_UNUSED(closure))\n",
        ),
    ),
    f"{_MULTIARRAY}/scalartypes.c.src": (
        ("\ngentype___copy__(PyObject *self)\n", "\ngentype___copy__(PyObject *self, PyObject *NPY_UNUSED(args))\n"),
    ),
    f"{_MULTIARRAY}/multiarraymodule.c": (
        (
            '{"_get_castingimpl",  (PyCFunction)_get_castingimpl,\n        METH_VARARGS | METH_KEYWORDS, NULL}',
            '{"_get_castingimpl",  (PyCFunction)_get_castingimpl,\n        METH_VARARGS, NULL}',
        ),
    ),
    f"{_MULTIARRAY}/_multiarray_tests.c.src": (
        (
            "(PyCFunction)printf_float_g,\n        METH_VARARGS , NULL}",
            "(PyCFunction)printf_float_g,\n        METH_VARARGS | METH_KEYWORDS, NULL}",
        ),
    ),
    "numpy/_core/src/umath/_scaled_float_dtype.c": (
        (
            "\nsfloat___reduce__(PyArray_SFloatDescr *self)\n",
            "\nsfloat___reduce__(PyArray_SFloatDescr *self, PyObject *NPY_UNUSED(args))\n",
        ),
    ),
}

PILLOW: Mapping[str, tuple[tuple[str, str], ...]] = {
    "src/_imaging.c": (
        (
            "\nExportArrowSchemaPyCapsule(ImagingObject *self) {",
            "\nExportArrowSchemaPyCapsule(ImagingObject *self, PyObject *args) {",
        ),
        (
            "\nExportArrowArrayPyCapsule(ImagingObject *self) {",
            "\nExportArrowArrayPyCapsule(ImagingObject *self, PyObject *args) {",
        ),
    ),
}


def correct(folder: Path, corrections: Mapping[str, tuple[tuple[str, str], ...]]) -> None:
    """Changes the files of an unpacked source.

    :raises BuildError: a file is not the one that the corrections are for.
    """
    for name, changes in corrections.items():
        path = folder / name
        text = path.read_text(encoding="utf-8")
        for wrong, right in changes:
            if text.count(wrong) != 1:
                raise BuildError(f"{name} has changed: `{wrong.strip()}` is not there exactly once")
            text = text.replace(wrong, right)
        path.write_text(text, encoding="utf-8")
