"""Stands on an author's machine where the SDK stands in the sandbox: says where contracts run.

Type checkers and editors read ``genlayer-stubs`` instead.
"""

raise ImportError(
    "contracts run in the sandbox, not in this Python: try `genvm local deploy FILE`, or call them from pytest with the"
    " fixtures `direct_vm` and `direct_deploy`, which come with pygenvm",
    name="genlayer",
)
