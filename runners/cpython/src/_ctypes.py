"""What `import ctypes` needs of its C module.

There is no foreign code in the sandbox and no way to call it. Types can be declared and have sizes; making values of
them, calling, and looking into memory raise NotImplementedError.
"""

import struct

__version__ = "1.1.0"

RTLD_LOCAL = 0
RTLD_GLOBAL = 256
FUNCFLAG_CDECL = 0x1
FUNCFLAG_PYTHONAPI = 0x4
FUNCFLAG_USE_ERRNO = 0x8
FUNCFLAG_USE_LASTERROR = 0x10
SIZEOF_TIME_T = 8

_POINTER_SIZE = struct.calcsize("P")
_LONG_DOUBLE_SIZE = 16
# Codes that `struct` does not have, or has for something else.
_SIZES = {"O": _POINTER_SIZE, "z": _POINTER_SIZE, "Z": _POINTER_SIZE, "g": _LONG_DOUBLE_SIZE, "u": 4, "v": 2}

_memmove_addr, _memset_addr, _string_at_addr, _cast_addr, _wstring_at_addr = range(1, 6)

_pointer_type_cache = {}


class ArgumentError(Exception):
    pass


def _unavailable(*_args, **_kwargs):
    raise NotImplementedError("ctypes can be imported here, but there is no foreign code to work with")


class _Type(type):
    """Metaclass of all types: `c_int * 3` is an array type."""

    def __mul__(cls, length):
        if length < 0:
            raise ValueError("Array length must be >= 0, not %d" % length)
        return _Type(f"{cls.__name__}_Array_{length}", (Array,), {"_type_": cls, "_length_": length})

    __rmul__ = __mul__

    def from_param(cls, _value):
        _unavailable()

    from_address = from_buffer = from_buffer_copy = in_dll = from_param


class _CData(metaclass=_Type):
    __init__ = _unavailable


class _SimpleCData(_CData):
    pass


class Structure(_CData):
    pass


class Union(_CData):
    pass


class Array(_CData):
    pass


class _Pointer(_CData):
    pass


class CFuncPtr(_CData):
    """A prototype can be given an address, as the module itself does, and not be called."""

    def __init__(self, address=0, *_args):
        if not isinstance(address, int):
            _unavailable()

    __call__ = _unavailable


def sizeof(kind):
    """Size of a type, unless it is a structure or union."""
    if issubclass(kind, _SimpleCData):
        code = kind._type_
        return _SIZES.get(code) or struct.calcsize(code)
    if issubclass(kind, Array):
        return kind._length_ * sizeof(kind._type_)
    if issubclass(kind, (_Pointer, CFuncPtr)):
        return _POINTER_SIZE
    _unavailable()


def POINTER(kind):
    """Pointer type to a type."""
    known = _pointer_type_cache.get(kind)
    if known is None:
        name = "c_void_p" if kind is None else kind if isinstance(kind, str) else kind.__name__
        known = _pointer_type_cache[kind] = _Type(f"LP_{name}", (_Pointer,), {"_type_": kind})
    return known


def dlopen(name, _mode=RTLD_LOCAL):
    """Handle of the program itself; there are no libraries."""
    if name is not None:
        raise OSError(f"{name}: there are no shared libraries here")
    return 0


def get_errno():
    return 0


def set_errno(_value):
    return 0


addressof = alignment = byref = pointer = resize = dlclose = dlsym = call_function = _unavailable
