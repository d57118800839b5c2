"""Of an interpreter that is not the snapshot: contracts find the names of the SDK v0.1.0 from the start."""

import sys

# Not for a program of the contract's own, which may want to read the message itself.
if "/py/libs/_genlayer_runner.py" in sys.orig_argv:
    import _genlayer_v0_1_0  # noqa: F401
