"""Modules that tests import although no package of theirs is installed: ``gltest.direct`` and ``genlayer``.

The names are those of genlayer-test and of the SDK. Behind them are our fixtures' classes, and the types and exceptions
of :mod:`pytest_plugin.sdk`; whatever of the SDK only makes sense inside the sandbox says so when it is used. Where
sources of the SDK are on ``sys.path`` they are what is imported.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn, TypeAlias

from pygenvm.pytest_plugin.other_tool import MODULE_ADVICE

#: pytest shows the line of the test, not those in here.
__tracebackhide__ = True

Names: TypeAlias = dict[str, Any]

_DIRECT = "gltest.direct"
#: What our own package ``genlayer`` has in it where no SDK is installed.
_STUB = b'_STANDS_FOR = "pygenvm"'

_DEPLOY = "deploy its file with direct_deploy(…), and test it by its public methods and fields"
_STORAGE = f"storage is the contract's: {_DEPLOY}"
_OUTSIDE = "what a contract asks for is answered by direct_vm.mock_web(…) and direct_vm.mock_llm(…)"
_BLOCKS = "validators are asked by direct_vm.run_validator(…)"
_MESSAGE = "set direct_vm.sender, origin and value, and direct_vm.warp(…), before the call"
_OTHERS = "deploy the other contract too; direct_vm.view and direct_vm.call take its address"
_EVM = "EVM contracts are answered by direct_vm.mock_evm(…)"
_OUTPUT = "what a contract emits and prints is in direct_vm.events() and direct_vm.last"


class OnlyInSandbox(RuntimeError):
    """A part of the SDK that contracts have, and tests do not."""


# --- what there is ------------------------------------------------------------------------------------


class _Absent:
    """Stands where the SDK has something of the sandbox: it can be imported and named, and says no to all else."""

    def __init__(self, name: str, advice: str) -> None:
        self._said = f"{name} is only there for contracts, inside the sandbox; {advice}"

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise OnlyInSandbox(self._said)

    __call__ = __getitem__ = __mro_entries__ = __iter__ = __or__ = __ror__ = _refuse

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)  # asked for by tools that look at everything
        return self._refuse()

    def __repr__(self) -> str:
        return f"<{self._said}>"


def _absent(module: str, advice: str, *names: str) -> Names:
    return {name: _Absent(f"{module}.{name}", advice) for name in names}


@cache
def _types() -> Names:
    from pygenvm.executor.primitives.address import Address
    from pygenvm.executor.primitives.keccak import Keccak256
    from pygenvm.pytest_plugin import sdk

    return {"Address": Address, "Keccak256": Keccak256, "Lazy": sdk.Lazy, **sdk.INTEGERS}


def _genlayer() -> Names:
    names = {name: value for name, value in _types().items() if name != "Lazy"}
    names |= _absent("genlayer", _STORAGE, "Array", "DynArray", "TreeMap", "allow_storage")
    return {**names, "__all__": [*names, "gl"]}


def _gl() -> Names:
    return {
        **_types(),
        "calldata": importlib.import_module("genlayer.py.calldata"),
        **_absent("gl", _DEPLOY, "Contract", "BaseContract", "Event", "public", "private"),
        **_absent("gl", _MESSAGE, "message", "message_raw"),
        **_absent("gl", _OTHERS, "ContractProxy", "contract_interface", "deploy_contract", "get_contract_at"),
        **_absent("gl", _OUTPUT, "trace", "trace_time_micro"),
        **_absent("gl", _EVM, "evm"),
        **_absent("gl", _BLOCKS, "eq_principle"),
        **_absent("gl", _STORAGE, "storage"),
        **_absent("gl", _DEPLOY, "advanced", "wasi"),
    }


def _vm() -> Names:
    from pygenvm.pytest_plugin import sdk

    return {
        "Return": sdk.Return,
        "UserError": sdk.UserError,
        "VMError": sdk.VMError,
        "Result": sdk.Return | sdk.VMError | sdk.UserError,
        "unpack_result": sdk.unpack_result,
        **_absent("gl.vm", _BLOCKS, "run_nondet", "run_nondet_unsafe", "spawn_sandbox"),
    }


def _nondet() -> Names:
    from pygenvm.pytest_plugin import sdk

    return {"NondetException": sdk.NondetException, **_absent("gl.nondet", _OUTSIDE, "Image", "exec_prompt")}


def _web() -> Names:
    from pygenvm.pytest_plugin import sdk

    methods = "delete", "get", "head", "patch", "post", "render", "request"
    return {"Response": sdk.Response, **_absent("gl.nondet.web", _OUTSIDE, *methods)}


def _calldata() -> Names:
    from pygenvm.executor.primitives import calldata

    return {name: getattr(calldata, name) for name in calldata.__all__}


def _keccak() -> Names:
    return {"Keccak256": _types()["Keccak256"]}


def _genvm_contracts() -> Names:
    # Tests of several contracts reset it.
    return {"__known_contract__": None, **_absent("gl", _DEPLOY, "Contract", "BaseContract")}


def _storage() -> Names:
    names = "Array", "DynArray", "Indirection", "Root", "TreeMap", "VLA", "allow_storage", "copy_to_memory"
    return _absent("genlayer.py.storage", _STORAGE, *names)


def _direct() -> Names:
    from pygenvm.pytest_plugin import addresses, direct, failures, loader

    return {
        "VMContext": direct.DirectVM,
        "deploy_contract": loader.deploy_contract,
        "load_contract_class": loader.load_contract_class,
        "create_address": addresses.create_address,
        "create_test_addresses": addresses.create_test_addresses,
        "ContractRollback": failures.ContractRollback,
        "MockNotFoundError": failures.UnansweredRequest,
    }


def _of_direct(*names: str) -> Callable[[], Names]:
    return lambda: {name: value for name, value in _direct().items() if name in names}


def _fixtures() -> Names:
    from pygenvm.pytest_plugin import fixtures

    return {name: value for name, value in vars(fixtures).items() if name.startswith("direct_")}


def _response_types() -> Names:
    from pygenvm.pytest_plugin import loader

    return {name: getattr(loader, name) for name in ("MockedLLMResponse", "MockedWebResponse", "MockedWebResponseData")}


def _sdk_loader() -> Names:
    # Where the other tool puts the SDK on sys.path. Contracts bring theirs along.
    return {"setup_sdk_paths": lambda contract_path=None, version=None: []}


_MODULES: Final[dict[str, Callable[[], Names]]] = {
    "genlayer": _genlayer,
    "genlayer.gl": _gl,
    "genlayer.gl.genvm_contracts": _genvm_contracts,
    "genlayer.gl.nondet": _nondet,
    "genlayer.gl.nondet.web": _web,
    "genlayer.gl.vm": _vm,
    "genlayer.py": dict,
    "genlayer.py.calldata": _calldata,
    "genlayer.py.keccak": _keccak,
    "genlayer.py.storage": _storage,
    "genlayer.py.types": _types,
    "gltest": dict,
    "gltest.direct": _direct,
    "gltest.direct.loader": _of_direct(
        "deploy_contract", "load_contract_class", "create_address", "create_test_addresses"
    ),
    "gltest.direct.pytest_plugin": _fixtures,
    "gltest.direct.sdk_loader": _sdk_loader,
    "gltest.direct.types": _response_types,
    "gltest.direct.vm": _of_direct("VMContext"),
    "gltest.direct.wasi_mock": _of_direct("ContractRollback", "MockNotFoundError"),
    "gltest.types": _response_types,
}


# --- how it is imported -------------------------------------------------------------------------------


class _Module(ModuleType):
    """One of :data:`_MODULES`. Nothing in it can be replaced: no contract would notice."""

    def __getattr__(self, name: str) -> Any:
        if f"{self.__name__}.{name}" in _MODULES:
            return importlib.import_module(f"{self.__name__}.{name}")
        advice = MODULE_ADVICE.get(self.__name__)
        if advice and not name.startswith("__"):
            # An AttributeError would lose its text in `from … import …`.
            raise ImportError(f"pygenvm has no {self.__name__}.{name}; {advice}", name=self.__name__)
        raise AttributeError(f"module {self.__name__!r} of pygenvm has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("__") and not isinstance(value, _Module) and vars(self).get(name) is not value:
            raise OnlyInSandbox(
                f"{self.__name__}.{name} cannot be replaced: contracts run in the sandbox and see nothing of this"
                f" Python. {_OUTSIDE[0].upper()}{_OUTSIDE[1:]}; {_BLOCKS}"
            )
        super().__setattr__(name, value)


class _Finder(MetaPathFinder, Loader):
    """Finds :data:`_MODULES`, the top-level ones where nobody else has them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        parent, _, _ = fullname.rpartition(".")
        if parent:
            # That of genlayer-test would be another VM than that of the fixtures.
            is_ours = isinstance(sys.modules.get(parent), _Module) or fullname == _DIRECT
        else:
            is_ours = fullname in _MODULES and not _is_installed(fullname)
        if not is_ours:
            return None
        if fullname not in _MODULES:
            advice = MODULE_ADVICE["gltest"] if fullname.startswith("gltest.") else _DEPLOY
            raise ModuleNotFoundError(f"pygenvm has no module {fullname} for tests; {advice}", name=fullname)
        is_package = any(name.startswith(fullname + ".") for name in _MODULES)
        return ModuleSpec(fullname, self, origin=f"<{__name__}>", is_package=is_package)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(_MODULES[module.__name__]())


def _is_installed(name: str) -> bool:
    """Whether a module can be found that is not the one which says where contracts run (``stubs/genlayer``)."""
    for folder in sys.path:
        spec = PathFinder.find_spec(name, [folder])
        if spec and spec.origin and _STUB not in Path(spec.origin).read_bytes():
            return True
    return False


_finder: Final = _Finder()


def install() -> None:
    """Puts the modules there."""
    if _finder not in sys.meta_path:
        for name in [name for name in sys.modules if name == _DIRECT or name.startswith(f"{_DIRECT}.")]:
            del sys.modules[name]
        if "gltest" in sys.modules:
            vars(sys.modules["gltest"]).pop("direct", None)
        sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Takes them away."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    for name in [name for name, module in sys.modules.items() if isinstance(module, _Module)]:
        del sys.modules[name]
