"""Modules of packages that are not installed: gltest.direct and genlayer."""

from __future__ import annotations

import hashlib
import sys
import types
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pygenvm.executor.primitives import address as our_address
from pygenvm.executor.primitives import calldata as our_calldata
from pygenvm.pytest_plugin import DirectVM, OnlyInSandbox, UnansweredRequest, create_address, served
from tests.pytest_plugin.contracts import ASKING, ECHO

# mypy reads the SDK's own stubs, and no gltest at all.
gltest_direct: Any = pytest.importorskip("gltest.direct")


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    (tmp_path / "echo.py").write_text(ECHO)
    return tmp_path / "echo.py"


# --- gltest.direct ------------------------------------------------------------------------------------


def test_a_vm_of_the_test_itself(contract: Path) -> None:
    vm = gltest_direct.VMContext()
    vm.sender = gltest_direct.create_address("me")
    vm.warp("2026-03-01T00:00:00Z")
    with vm.activate() as active:
        assert active is vm
        echo = gltest_direct.deploy_contract(contract, vm, create_address("x"), sdk_version="v0.2.12")
        assert echo.who == create_address("x")
        assert echo.message()[0] == create_address("me")
        assert vm.now.month == 3
        with vm.prank("you"):
            assert echo.message()[0] == create_address("you")
    other = gltest_direct.VMContext()
    assert other.sender == create_address("default_sender")
    assert gltest_direct.deploy_contract(contract, other, create_address("y")).who == create_address("y")
    assert echo.who == create_address("x")


def test_classes_are_loaded_and_called(direct_vm: DirectVM, contract: Path, tmp_path: Path) -> None:
    loaded = gltest_direct.load_contract_class(contract, direct_vm)
    assert loaded.__name__ == "echo"
    assert loaded(create_address("x")).who == create_address("x")
    with pytest.raises(AttributeError, match="has no '_helper' here: it is in the sandbox"):
        loaded._helper()
    with pytest.raises(FileNotFoundError, match="Contract not found"):
        gltest_direct.load_contract_class(tmp_path / "nothing.py", direct_vm)
    broken = tmp_path / "broken.py"
    broken.write_text(ECHO + "\nraise RuntimeError('at import')\n")
    with pytest.raises(ImportError, match=r"^Failed to load contract: (?s:.*)RuntimeError: at import"):
        gltest_direct.load_contract_class(broken, direct_vm)


def test_names_and_where_they_are() -> None:
    import gltest.types  # type: ignore[import-not-found]
    from gltest.direct import loader, pytest_plugin, sdk_loader, vm, wasi_mock  # type: ignore[import-not-found]
    from gltest.direct.types import MockedWebResponseData  # type: ignore[import-not-found]

    assert vm.VMContext is gltest_direct.VMContext is DirectVM
    assert loader.deploy_contract is gltest_direct.deploy_contract
    assert gltest_direct.create_address("alice") == hashlib.sha256(b"alice").digest()[:20]
    assert loader.create_test_addresses(2) == [create_address("test_address_0"), create_address("test_address_1")]
    assert wasi_mock.MockNotFoundError is gltest_direct.MockNotFoundError is UnansweredRequest
    assert issubclass(wasi_mock.ContractRollback, Exception)
    assert gltest.types.MockedWebResponseData is MockedWebResponseData
    assert sdk_loader.setup_sdk_paths("contract.py") == []
    assert {"direct_vm", "direct_deploy", "direct_alice"} <= set(vars(pytest_plugin))


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        ("from gltest import get_contract_factory", "it speaks to a network: install genlayer-test"),
        ("import gltest.assertions", "it speaks to a network: install genlayer-test"),
        ("from gltest.direct.vm import InmemManager", "storage is that of the sandbox"),
        ("from gltest.direct.wasi_mock import set_vm", "nothing stands between a contract and its VM"),
        ("from gltest.direct.loader import _allocate_contract", "contracts run in the sandbox"),
        ("import genlayer.py.evm", "deploy its file with direct_deploy"),
    ],
)
def test_what_cannot_be_here_says_so(statement: str, advice: str) -> None:
    with pytest.raises(ImportError, match=advice):
        exec(statement, {})


# --- genlayer -----------------------------------------------------------------------------------------


def test_types() -> None:
    from genlayer import Keccak256, gl, u256
    from genlayer.py import calldata
    from genlayer.py.types import Address, Lazy, bigint, i8

    served: Any = Address
    assert served is our_address.Address
    assert calldata.encode is our_calldata.encode
    assert (u256(5), i8(-1), bigint(10**80)) == (5, -1, 10**80)
    assert gl.u256 is u256
    assert Lazy(lambda: 5).get() == 5
    assert Keccak256(b"").hexdigest().startswith("c5d2460186f7233c")
    assert gl.calldata.decode(gl.calldata.encode({"a": 1})) == {"a": 1}


def test_star_import() -> None:
    names: dict[str, Any] = {}
    exec("from genlayer import *", names)
    assert {"Address", "gl", "u8", "u256", "i256", "bigint", "TreeMap", "DynArray", "allow_storage"} <= set(names)
    assert names["gl"].vm.UserError("x").message == "x"


def test_exceptions_and_results() -> None:
    import genlayer.gl.vm as vm
    from genlayer import gl

    assert gl.vm is vm
    assert gl.vm.Return(5) == gl.vm.Return(calldata=5)
    error = gl.vm.UserError("boo")
    assert (str(error), repr(error), error.args) == ("UserError(message='boo')",) * 2 + (("boo",),)
    assert error == gl.vm.UserError(message="boo") != gl.vm.UserError("bah")
    assert gl.vm.unpack_result(gl.vm.Return([1])) == [1]
    with pytest.raises(gl.vm.UserError, match="vm error: OOM"):
        gl.vm.unpack_result(gl.vm.VMError("OOM"))
    with pytest.raises(gl.vm.UserError, match="boo"):
        gl.vm.unpack_result(error)
    assert issubclass(gl.nondet.NondetException, Exception)
    assert gl.nondet.web.Response(status=200, headers={}, body=None).status == 200


@pytest.mark.parametrize(
    ("use", "advice"),
    [
        (lambda gl: types.new_class("C", (gl.Contract,)), "deploy its file with direct_deploy"),
        (lambda gl: gl.public.view, "deploy its file with direct_deploy"),
        (lambda gl: gl.message.sender_address, r"set direct_vm\.sender"),
        (lambda gl: gl.nondet.exec_prompt("?"), r"direct_vm\.mock_llm"),
        (lambda gl: gl.nondet.web.get("https://example.com"), r"direct_vm\.mock_web"),
        (lambda gl: gl.vm.run_nondet(None, None), r"direct_vm\.run_validator"),
        (lambda gl: gl.eq_principle.strict_eq(None), r"direct_vm\.run_validator"),
        (lambda gl: gl.get_contract_at("0x"), "deploy the other contract too"),
        (lambda gl: gl.evm.encode, r"direct_vm\.mock_evm"),
        (lambda gl: gl.storage.copy_to_memory, "storage is the contract's"),
    ],
)
def test_what_only_contracts_have(use: Any, advice: str) -> None:
    from genlayer import gl

    with pytest.raises(OnlyInSandbox, match=advice):
        use(gl)


def test_storage_is_only_there_for_contracts() -> None:
    from genlayer import TreeMap, allow_storage
    from genlayer.py.storage import DynArray

    uses: list[Any] = [lambda: TreeMap[str, int], lambda: allow_storage(int), lambda: DynArray()]
    for use in uses:
        with pytest.raises(OnlyInSandbox, match="storage is the contract's"):
            use()


def test_the_sdk_cannot_be_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    from genlayer import gl

    with pytest.raises(OnlyInSandbox, match=r"genlayer\.gl\.nondet\.exec_prompt cannot be replaced: .*mock_llm"):
        monkeypatch.setattr(gl.nondet, "exec_prompt", lambda prompt: "x")
    with pytest.raises(OnlyInSandbox, match="cannot be replaced"):
        monkeypatch.setattr("genlayer.gl.nondet.web.get", lambda url: "x")
    with pytest.raises(OnlyInSandbox, match="cannot be replaced"), mock.patch("genlayer.gl.vm.run_nondet"):
        pass
    with pytest.raises(AttributeError, match="has no attribute 'rollback'"):
        _ = getattr(gl, "rollback")  # noqa: B009
    # As tests of several contracts do.
    from genlayer.gl import genvm_contracts

    genvm_contracts.__known_contract__ = None


def test_modules_that_were_thrown_out_come_back(direct_vm: DirectVM) -> None:
    """Tests do that because of the other tool; classes must stay what they were."""
    from genlayer import gl

    before = gl.vm.UserError
    for name in [name for name in sys.modules if name == "genlayer" or name.startswith("genlayer.")]:
        del sys.modules[name]
    from genlayer import gl as again

    assert again is not gl
    assert again.vm.UserError is before
    with pytest.raises(again.vm.UserError, match="the web is down"), pytest.warns(UserWarning, match="No web mock"):
        direct_vm.deploy_code(ASKING).translated("https://example.com")


def test_sources_of_the_sdk_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "genlayer"
    package.mkdir()
    (package / "__init__.py").write_text("real = True\n")
    (package / "py.py").write_text("where = 'sources'\n")
    finder = served._finder
    assert finder.find_spec("genlayer", None) is not None
    monkeypatch.syspath_prepend(tmp_path)
    assert finder.find_spec("genlayer", None) is None
    assert finder.find_spec("other", None) is None
