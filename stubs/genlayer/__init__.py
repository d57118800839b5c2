"""Stands on an author's machine where the SDK stands in the sandbox: says where contracts run.

Type checkers and editors read ``genlayer-stubs`` instead. Where sources of the SDK themselves are on ``sys.path``, after
this package too, they are what is imported.
"""

_STANDS_FOR = "pygenvm"  # by this the pytest plugin knows the file

import os as _os
import sys as _sys
from importlib.machinery import PathFinder as _PathFinder

_here = _os.path.realpath(_os.path.dirname(_os.path.dirname(__file__)))
_spec = _PathFinder.find_spec("genlayer", [_path for _path in _sys.path if _os.path.realpath(_path) != _here])
if _spec is None or _spec.loader is None or _spec.origin is None:
    raise ImportError(
        "contracts run in the sandbox, not in this Python: try `genvm local deploy FILE`, or call them from pytest with"
        " the fixtures `direct_vm` and `direct_deploy`, which come with pygenvm",
        name="genlayer",
    )
__spec__, __file__, __path__ = _spec, _spec.origin, list(_spec.submodule_search_locations or ())
_spec.loader.exec_module(_sys.modules[__name__])
