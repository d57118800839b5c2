"""Makes a module ready for the engine: refuses what is not allowed, bans floats, exports memories."""

from __future__ import annotations

from dataclasses import dataclass

from pygenvm.executor.subvm.facts import ModuleFacts
from pygenvm.executor.subvm.image import IMAGE_FUNCTION, IMAGE_STACK_POINTER
from pygenvm.executor.subvm.linear import PAGE_BYTES
from pygenvm.executor.subvm.wasm.ban import ban_floats, has_floats
from pygenvm.executor.subvm.wasm.content import content_of_data
from pygenvm.executor.subvm.wasm.depth import count_depth
from pygenvm.executor.subvm.wasm.edit import Editor
from pygenvm.executor.subvm.wasm.growth import count_growth
from pygenvm.executor.subvm.wasm.instructions import bodies, check_blocks
from pygenvm.executor.subvm.wasm.module import ExternKind, FuncType, Module, read_module
from pygenvm.executor.subvm.wasm.names import own_name
from pygenvm.executor.subvm.wasm.values import check_values

_MEMORY_EXPORT = "$memory"


@dataclass(frozen=True, slots=True)
class PreparedModule:
    """``code`` is what the engine compiles; no index of a function, memory or type differs from the original's.
    ``content`` is what ``facts.content`` speaks of."""

    code: bytes
    facts: ModuleFacts
    content: bytes


def prepare(wasm: bytes | memoryview, *, deterministic: bool, trusted: bool = True) -> PreparedModule:
    """Checks a module and changes what the mode wants changed; the bytes stay the same if that is nothing.

    Functions count how deep calls go (:mod:`executor.subvm.wasm.depth`); those of runners, which are ``trusted``, are
    chosen and estimated for speed, and much data of theirs is no part of the code any more
    (:mod:`executor.subvm.wasm.content`). What others make the compiler keep is bounded
    (:mod:`executor.subvm.wasm.values`). The result may import counters of the VM. Both modes refuse the same modules.
    The changes may hide type errors, so the engine has to validate the original as well. Raises InvalidContract with a
    cause that names rule and place.
    """
    module = read_module(bytes(wasm))
    floats = _check_code(module)
    if not trusted:
        check_values(module)
    editor = Editor(module)
    ban_function = ban_floats(editor) if deterministic and floats else None
    overflow_function = count_depth(editor, trusted=trusted)
    growth = count_growth(editor)
    editor.move_globals()
    memory_exports = tuple(_export_memory(module, editor, index) for index in range(len(module.memories)))
    begin, content = (trusted and content_of_data(module)) or (0, b"")
    if content:
        editor.drop_data()
    imported_memories = _imported(module, ExternKind.MEMORY)
    facts = ModuleFacts(
        name=own_name(module.data, module.sections),
        ban_function=ban_function,
        overflow_function=overflow_function,
        grow_function=growth.grow,
        refused_function=growth.refused,
        grown_import=growth.grown_import,
        memory_exports=memory_exports,
        memory_bytes=PAGE_BYTES * sum(limits.minimum for limits in module.memories[imported_memories:]),
        table_elements=sum(limits.minimum for limits in module.tables[_imported(module, ExternKind.TABLE) :]),
        content=(begin, len(content)) if content else None,
        may_call_host=_may_call_host(module),
        makes_images=_makes_images(module),
    )
    return PreparedModule(editor.to_bytes(), facts, content)


def _check_code(module: Module) -> bool:
    """Whether there are banned instructions. All code is read: what gets through has no instruction that is refused."""
    floats = False
    for body in bodies(module):
        check_blocks(module.data, body)
        floats |= has_floats(module, body)
    return floats


def _may_call_host(module: Module) -> bool:
    callable_kinds = (ExternKind.FUNCTION, ExternKind.TABLE)
    return any(item.kind in callable_kinds for item in module.imports) or any(
        item.kind == ExternKind.TABLE for item in module.exports
    )


def _makes_images(module: Module) -> bool:
    exports = {export.name: export for export in module.exports}
    function, pointer = exports.get(IMAGE_FUNCTION), exports.get(IMAGE_STACK_POINTER)
    if function is None or pointer is None or len(module.memories) != 1:
        return False
    if function.kind != ExternKind.FUNCTION or pointer.kind != ExternKind.GLOBAL:
        return False
    return module.function_type(function.index) == FuncType(b"", b"")


def _imported(module: Module, kind: ExternKind) -> int:
    return sum(item.kind == kind for item in module.imports)


def _export_memory(module: Module, editor: Editor, index: int) -> str:
    """A name under which the memory can be read after a trap."""
    for export in module.exports:
        if export.kind == ExternKind.MEMORY and export.index == index:
            return export.name
    return editor.add_export(_MEMORY_EXPORT, ExternKind.MEMORY, index)
