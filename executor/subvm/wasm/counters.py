"""Names of a VM's counters, which prepared modules import: see :mod:`executor.subvm.wasm.depth` and ``growth``."""

COUNTERS_MODULE = "genvm counters"
#: Stack bytes that calls may still use: global (mut i32).
DEPTH_GLOBAL = "depth"
#: Bytes that memories may still grow by: global (mut i64).
MEMORY_GLOBAL = "memory"
