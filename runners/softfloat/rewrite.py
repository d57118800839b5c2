"""Rewrites a module so that it computes floats by calls of the ``softfloat`` module (spec executor/07 "Soft floats").

The result has no banned float instruction: each is replaced by a call of an import or by integer code. The imports are
appended after the existing ones: always the 40 of the specification in its order, then of ``EXTRAS`` those in use, so
that a module which does not need extras links with any ``softfloat`` runner of the specification.

Where the specification's table leaves an instruction alone (trunc, nearest, min, max, copysign, saturating
truncations), this one replaces it too. Where it takes RISC-V values for truncations out of range, this one traps as
native WebAssembly does. So a rewritten module differs from the original run natively in nothing but the sign and
payload of NaN results, which are canonical here, and the code of such a trap (``unreachable`` inside ``softfloat``).

A module can bring integer code of its own, which is told by the names of its functions:

* Where it has a function ``X`` and another one of the same type, ``X__soft``, ``X`` gets the code of ``X__soft``.
* ``f64_add__instruction`` is called in the place of the import ``f64_add``, and so on for each import.
* In functions ``X__rare``, instructions become calls of imports all the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from pygenvm.executor.limits import WASM_FUNCTIONS_MAX
from pygenvm.executor.subvm.wasm.binary import (
    Reader,
    SectionId,
    encode_s,
    encode_sized,
    encode_u32,
    encode_vector,
)
from pygenvm.executor.subvm.wasm.edit import extended, rebuild
from pygenvm.executor.subvm.wasm.instructions import CALLS, FLOATS, SATURATING, bodies, scanner, walk
from pygenvm.executor.subvm.wasm.module import Export, ExternKind, FuncType, Module, read_module
from pygenvm.executor.subvm.wasm.names import NAME_SECTION, is_debug, read_subsections, write_subsections
from pygenvm.runners.softfloat.build import NAME

_I32, _I64 = b"\x7f", b"\x7e"
_FLOAT_TYPES = {32: b"\x7d", 64: b"\x7c"}
_INT_TYPES = {32: _I32, 64: _I64}

_SCANNER = scanner(CALLS, FLOATS, SATURATING)

# Custom sections with code offsets or function indices, for the linker, the debugger and the compiler.
_STALE_PREFIXES = ("linking", "reloc.", "sourceMappingURL", "metadata.code.")
_NAME_FUNCTIONS, _NAME_LOCALS, _NAME_LABELS = 1, 2, 3

_KERNEL_SUFFIX, _INSTRUCTION_SUFFIX, _RARE_SUFFIX = "__soft", "__instruction", "__rare"
_UNREACHABLE = b"\x00\x00\x0b"


def _spec_imports() -> dict[str, FuncType]:
    imports: dict[str, FuncType] = {}
    for bits, other in ((32, 64), (64, 32)):
        f, t = f"f{bits}", _FLOAT_TYPES[bits]
        for name in ("add", "mul", "sub", "div"):
            imports[f"{f}_{name}"] = FuncType(t + t, t)
        for name in ("lt_quiet", "le_quiet", "eq", "ge_quiet", "gt_quiet"):
            imports[f"{f}_{name}"] = FuncType(t + t, _I32)
        for name, source in (("ui32", _I32), ("i32", _I32), ("ui64", _I64), ("i64", _I64)):
            imports[f"{name}_to_{f}"] = FuncType(source, t)
        for name, target in (("i32", _I32), ("ui32", _I32), ("i64", _I64), ("ui64", _I64)):
            imports[f"{f}_to_{name}"] = FuncType(t + _I32 + _I32, target)
        imports[f"f{other}_to_{f}"] = FuncType(_FLOAT_TYPES[other], t)
        imports[f"{f}_roundToInt"] = FuncType(t + _I32 + _I32, t)
        imports[f"{f}_sqrt"] = FuncType(t, t)
    return imports


def _extra_imports() -> dict[str, FuncType]:
    imports: dict[str, FuncType] = {}
    for bits, t in _FLOAT_TYPES.items():
        for name in ("min", "max", "copysign"):
            imports[f"f{bits}_{name}"] = FuncType(t + t, t)
        for verb in ("trunc", "trunc_sat"):
            for int_bits, target in _INT_TYPES.items():
                for sign in "su":
                    imports[f"i{int_bits}_{verb}_f{bits}_{sign}"] = FuncType(t, target)
    return imports


SPEC_IMPORTS = _spec_imports()
EXTRAS = _extra_imports()


def _replacements() -> dict[bytes, tuple[str | bytes, ...]]:
    """What replaces each instruction: texts are calls of that import, bytes are code."""
    table: dict[bytes, tuple[str | bytes, ...]] = {}
    # Per width: first comparison, first unary operation, (reinterpret to int, int const, and, xor, reinterpret back).
    for bits, compare, unary, (to_int, const, and_, xor, to_float) in (
        (32, 0x5B, 0x8B, (b"\xbc", b"\x41", b"\x71", b"\x73", b"\xbe")),
        (64, 0x61, 0x99, (b"\xbd", b"\x42", b"\x83", b"\x85", b"\xbf")),
    ):
        f = f"f{bits}"
        sign = 1 << bits - 1
        rows: list[tuple[str | bytes, ...]] = [
            (f"{f}_eq",),
            (f"{f}_eq", b"\x41\x01\x73"),  # ne
            (f"{f}_lt_quiet",),
            (f"{f}_gt_quiet",),
            (f"{f}_le_quiet",),
            (f"{f}_ge_quiet",),
        ]
        table |= {bytes((compare + i,)): row for i, row in enumerate(rows)}
        rows = [
            (to_int + const + encode_s(sign - 1) + and_ + to_float,),  # abs
            (to_int + const + encode_s(-sign) + xor + to_float,),  # neg
            *((b"\x41" + bytes((mode,)) + b"\x41\x00", f"{f}_roundToInt") for mode in (3, 2, 1, 0)),  # ceil ... nearest
            *((f"{f}_{name}",) for name in ("sqrt", "add", "sub", "mul", "div", "min", "max", "copysign")),
        ]
        table |= {bytes((unary + i,)): row for i, row in enumerate(rows)}
    truncations = [(i, f, sign) for i in (32, 64) for f in (32, 64) for sign in "su"]
    for i, (int_bits, bits, sign_letter) in enumerate(truncations):
        # i32.trunc_* are a8-ab, i64.trunc_* ae-b1.
        table[bytes((0xA8 + i + (2 if i >= 4 else 0),))] = (f"i{int_bits}_trunc_f{bits}_{sign_letter}",)
        table[bytes((0xFC, i))] = (f"i{int_bits}_trunc_sat_f{bits}_{sign_letter}",)
    for bits, opcode in ((32, 0xB2), (64, 0xB7)):
        for i, source in enumerate(("i32", "ui32", "i64", "ui64")):
            table[bytes((opcode + i,))] = (f"{source}_to_f{bits}",)
    table[b"\xb6"] = ("f64_to_f32",)
    table[b"\xbb"] = ("f32_to_f64",)
    return table


_REPLACEMENTS = _replacements()


def rewrite(wasm: bytes) -> bytes:
    """The module without banned float instructions; the same bytes if it has none.

    Sections, custom sections and names are carried over with shifted function indices; ``producers``, ``.debug_*`` and
    other sections about code offsets are dropped. Raises InvalidContract if the module is malformed or has features
    that are not allowed (but for saturating truncations, which are replaced); ValueError if it has a function
    ``X__soft`` and not just one ``X`` of the same type, or an ``X__instruction`` and no import ``X`` of that type.
    """
    module = read_module(wasm)
    sites = _find_sites(module)
    used = {wasm[start:end] for body in sites for start, end in body}
    floats = used & _REPLACEMENTS.keys()
    if not floats:
        return wasm
    called = {part for code in floats for part in _REPLACEMENTS[code] if isinstance(part, str)}
    return _Rewriter(module, {**SPEC_IMPORTS, **{name: EXTRAS[name] for name in EXTRAS if name in called}}).run(
        sites, used
    )


def kernels(module: Module) -> dict[int, int]:
    """Functions ``X``, by index, and the index of ``X__soft``; ValueError as :func:`rewrite`."""
    functions = functions_by_name(module)
    found = {}
    for name, form in _with_suffix(functions, _KERNEL_SUFFIX).items():
        replaced = functions.get(name, [])
        if len(replaced) != 1:
            raise ValueError(f"{name}{_KERNEL_SUFFIX}: replaces {len(replaced)} functions")
        if module.function_type(replaced[0]) != module.function_type(form):
            raise ValueError(f"{name}{_KERNEL_SUFFIX} has not the type of the function that it replaces")
        if min(replaced[0], form) < module.imported_functions:
            raise ValueError(f"{name}{_KERNEL_SUFFIX}: imported")
        found[replaced[0]] = form
    return found


def instructions(module: Module) -> dict[str, int]:
    """Imports that the module has functions for, and their indices; ValueError as :func:`rewrite`."""
    found = _with_suffix(functions_by_name(module), _INSTRUCTION_SUFFIX)
    for name, index in found.items():
        if (SPEC_IMPORTS | EXTRAS).get(name) != module.function_type(index):
            raise ValueError(f"{name}{_INSTRUCTION_SUFFIX} is no import of that type")
    return found


def _with_suffix(functions: Mapping[str, list[int]], suffix: str) -> dict[str, int]:
    found = {}
    for name, indices in functions.items():
        if name.endswith(suffix):
            if len(indices) != 1:
                raise ValueError(f"{len(indices)} functions are named {name}")
            found[name.removesuffix(suffix)] = indices[0]
    return found


def _rare(functions: Mapping[str, list[int]]) -> set[int]:
    return {index for name, indices in functions.items() if name.endswith(_RARE_SUFFIX) for index in indices}


def with_needed_names(wasm: bytes) -> bytes:
    """The module with the names of functions that :func:`rewrite` goes by, and no others.

    Raises ValueError as :func:`rewrite`, and if it has no integer code of its own.
    """
    module = read_module(wasm)
    functions = functions_by_name(module)
    wanted = {index for pair in kernels(module).items() for index in pair} | set(instructions(module).values())
    if not wanted:
        raise ValueError("the module has no integer code of its own")
    wanted |= _rare(functions)
    names = {index: name for name, indices in functions.items() for index in indices if index in wanted}

    def custom(name: str, content: bytes) -> bytes:
        if name != NAME_SECTION:
            return content
        kept = [part for part in read_subsections(content) if part[0] < _NAME_FUNCTIONS]
        return write_subsections([*kept, (_NAME_FUNCTIONS, _function_names(names))])

    return rebuild(module, {}, custom)


def _function_names(names: Mapping[int, str]) -> bytes:
    return encode_vector(encode_u32(index) + encode_sized(names[index].encode()) for index in sorted(names))


def functions_by_name(module: Module) -> dict[str, list[int]]:
    """What the name section says; several functions may have one name."""
    found: dict[str, list[int]] = {}
    for section in module.sections:
        if section.name != NAME_SECTION:
            continue
        for part_id, part in read_subsections(module.data[section.start : section.end]):
            if part_id == _NAME_FUNCTIONS:
                reader = Reader(part, 0, len(part))
                for _ in range(reader.count("function names", WASM_FUNCTIONS_MAX)):
                    index = reader.u32()
                    found.setdefault(reader.name(), []).append(index)
    return found


def _find_sites(module: Module) -> list[list[tuple[int, int]]]:
    """Per function, (start, end) of the calls and float instructions."""
    return [list(walk(module.data, body, _SCANNER)) for body in bodies(module)]


class _Rewriter:
    """One module, and the imports that it gets."""

    def __init__(self, module: Module, imports: dict[str, FuncType]) -> None:
        self.module = module
        self.imports = imports
        self.first = module.imported_functions
        self.index = {name: self.first + i for i, name in enumerate(imports)}

    def run(self, sites: list[list[tuple[int, int]]], used: set[bytes]) -> bytes:
        types = list(dict.fromkeys((*self.imports.values(),)))
        known = {item: i for i, item in reversed(list(enumerate(self.module.types)))}
        added = [item for item in types if item not in known]
        known |= {item: len(self.module.types) + i for i, item in enumerate(added)}
        changed = {
            SectionId.TYPE: extended(self.module, SectionId.TYPE, [item.to_bytes() for item in added]),
            SectionId.IMPORT: extended(
                self.module,
                SectionId.IMPORT,
                [
                    encode_sized(NAME.encode()) + encode_sized(name.encode()) + b"\x00" + encode_u32(known[item])
                    for name, item in self.imports.items()
                ],
            ),
            SectionId.CODE: self._code(sites, used),
        }
        if self.module.exports:
            changed[SectionId.EXPORT] = self._exports()
        if self.module.start is not None:
            changed[SectionId.START] = encode_u32(self._shift(self.module.start))
        if self.module.elements:
            changed[SectionId.ELEMENT] = self._elements()
        return rebuild(self.module, changed, self._custom)

    def _shift(self, function: int) -> int:
        return function if function < self.first else function + len(self.imports)

    def _exports(self) -> bytes:
        return encode_vector(
            Export(export.name, export.kind, self._shift(export.index)).to_bytes()
            if export.kind == ExternKind.FUNCTION
            else export.to_bytes()
            for export in self.module.exports
        )

    def _elements(self) -> bytes:
        segments = []
        for start, indices, end in self.module.elements:
            reader = Reader(self.module.data, indices, end)
            shifted = encode_vector(encode_u32(self._shift(reader.u32())) for _ in range(reader.u32()))
            segments.append(self.module.data[start:indices] + shifted)
        return encode_vector(segments)

    def _code(self, sites: list[list[tuple[int, int]]], used: set[bytes]) -> bytes:
        data, first = self.module.data, self.first
        own = {name: self._shift(index) for name, index in instructions(self.module).items()}
        replaced = kernels(self.module)
        empty = set(replaced.values())
        rare = _rare(functions_by_name(self.module))
        with_imports = {code: self._replacement(code, self.index) for code in used}
        with_own = {code: self._replacement(code, {**self.index, **own}) for code in used}
        changed = []
        for function in range(first, first + len(sites)):
            if function in empty:
                changed.append(encode_sized(_UNREACHABLE))
                continue
            new = with_imports if function in rare else with_own
            body = replaced.get(function, function) - first
            (start, end), body_sites = self.module.bodies[body], sites[body]
            parts = []
            for site_start, site_end in body_sites:
                parts.append(data[start:site_start])
                parts.append(new[data[site_start:site_end]])
                start = site_end
            parts.append(data[start:end])
            changed.append(encode_sized(b"".join(parts)))
        return encode_vector(changed)

    def _replacement(self, code: bytes, functions: Mapping[str, int]) -> bytes:
        parts = _REPLACEMENTS.get(code)
        if parts is None:  # call or return_call
            return code[:1] + encode_u32(self._shift(Reader(code, 1, len(code)).u32()))
        return b"".join(part if isinstance(part, bytes) else b"\x10" + encode_u32(functions[part]) for part in parts)

    def _custom(self, name: str, content: bytes) -> bytes | None:
        if is_debug(name) or name.startswith(_STALE_PREFIXES):
            return None
        return self._names(content) if name == NAME_SECTION else content

    def _names(self, content: bytes) -> bytes:
        """The name section with shifted function indices and the names of the new imports."""
        parts = []
        for part_id, part in read_subsections(content):
            reader = Reader(part, 0, len(part))
            if part_id == _NAME_FUNCTIONS:
                part = self._function_names(reader)
            elif part_id in (_NAME_LOCALS, _NAME_LABELS):
                part = self._indirect_names(reader)
            parts.append((part_id, part))
        return write_subsections(parts)

    def _function_names(self, reader: Reader) -> bytes:
        names = {index: f"{NAME}.{name}" for name, index in self.index.items()}
        for _ in range(reader.count("function names", WASM_FUNCTIONS_MAX)):
            index = self._shift(reader.u32())
            names[index] = reader.name()
        reader.finish("function names")
        return _function_names(names)

    def _indirect_names(self, reader: Reader) -> bytes:
        entries = []
        for _ in range(reader.count("functions with names", WASM_FUNCTIONS_MAX)):
            index = self._shift(reader.u32())
            start = reader.pos
            for _ in range(reader.u32()):
                reader.u32()
                reader.skip(reader.u32())
            entries.append(encode_u32(index) + reader.data[start : reader.pos])
        reader.finish("names of locals or labels")
        return encode_vector(entries)
