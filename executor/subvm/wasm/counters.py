"""Names of what prepared modules import from their VM: see :mod:`executor.subvm.wasm.depth` and ``growth``."""

COUNTERS_MODULE = "genvm counters"
#: Stack bytes that calls may still use: global (mut i32).
DEPTH_GLOBAL = "depth"
#: Bytes that memories may still grow by: global (mut i64).
MEMORY_GLOBAL = "memory"
#: Pages that the memory which the importing instance imports may have: global (mut i64), which nobody writes to.
MAXIMUM_GLOBAL = "maximum"
