"""The functions of ``gltest.direct`` for tests that make their VM themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn, TypedDict

from pygenvm.executor.frozen import replaced
from pygenvm.executor.runner.contract_file import read_contract
from pygenvm.localnet.failure import explain_failure, lines
from pygenvm.localnet.schema import NoSchema
from pygenvm.localnet.sources import Source
from pygenvm.pytest_plugin.contract import DirectContract
from pygenvm.pytest_plugin.direct import DirectVM

#: pytest shows the line of the test, not those in here.
__tracebackhide__ = True


class MockedWebResponseData(TypedDict, total=False):
    """What :meth:`pytest_plugin.mocks.Mocks.web` takes."""

    method: str
    status: int
    body: str


class MockedWebResponse(TypedDict):
    """URLs and their responses."""

    nondet_web_request: dict[str, MockedWebResponseData]


class MockedLLMResponse(TypedDict):
    """Prompts and their responses, principles and their verdicts."""

    nondet_exec_prompt: dict[str, str]
    eq_principle_prompt_comparative: dict[str, bool]
    eq_principle_prompt_non_comparative: dict[str, bool]


class ContractClass:
    """A contract that is not deployed yet; calling it deploys it."""

    def __init__(self, path: Path, vm: DirectVM) -> None:
        self._path = path
        self._vm = vm
        self.__name__ = path.stem

    def __call__(self, *args: Any, **kwargs: Any) -> DirectContract:
        return self._vm.deploy(self._path, *args, **kwargs)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"the class of {self._path} has no {name!r} here: it is in the sandbox. Deploy it, which is to call it, and"
            " use what is public"
        )

    def __repr__(self) -> str:
        return f"<contract class of {self._path}>"


def deploy_contract(
    contract_path: str | Path, vm: DirectVM, *args: Any, sdk_version: str | None = None, **kwargs: Any
) -> DirectContract:
    """Deploys a file or folder (:meth:`pytest_plugin.direct.DirectVM.deploy`)."""
    return vm.deploy(contract_path, *args, sdk_version=sdk_version, **kwargs)


def load_contract_class(contract_path: str | Path, vm: DirectVM, sdk_version: str | None = None) -> ContractClass:
    """A contract to deploy later.

    :raises ImportError: the sandbox cannot load it.
    """
    path = vm._find(contract_path)
    code = read_contract(path)
    try:
        vm.net.schema_of_code(code)
    except NoSchema as error:
        said = explain_failure(replaced(error.receipt, source=Source(code, path))) if error.receipt else None
        told = [text for _, text in lines(said)] if said else []
        raise ImportError("\n".join([f"Failed to load contract: {error}", *told])) from None
    return ContractClass(path, vm)
