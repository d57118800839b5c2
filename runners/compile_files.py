"""Run by the Python of the build, not by ours: compiles files named by a JSON list of [source, target, name]."""

import json
import py_compile
import sys

with open(sys.argv[1], encoding="utf-8") as manifest:
    jobs = json.load(manifest)
for source, target, name in jobs:
    py_compile.compile(
        source,
        cfile=target,
        dfile=name,
        doraise=True,
        optimize=0,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
