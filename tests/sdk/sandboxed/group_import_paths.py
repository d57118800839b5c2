"""Modules and helpers of the ecosystem's SDK that contracts and tools import by name (spec sdk/01 §1)."""

# ruff: noqa: PT018  these functions run without pytest

import importlib

from harness import Host, equal, fresh, raises, start

#: Every row of the table with what it says the module holds.
PATHS = {
    "genlayer": ("gl", "Address", "TreeMap"),
    "genlayer.gl": ("vm", "nondet", "eq_principle", "advanced", "evm", "message", "public"),
    "genlayer.gl.vm": ("run_nondet", "run_nondet_unsafe", "gl_call", "_decode_sub_vm_result"),
    "genlayer.gl.nondet": ("exec_prompt", "web", "_decode_nondet", "NondetException"),
    "genlayer.gl.nondet.web": ("get", "render", "Response"),
    "genlayer.gl.eq_principle": ("strict_eq",),
    "genlayer.gl.advanced": ("user_error_immediate",),
    "genlayer.gl.events": ("Event",),
    "genlayer.gl.annotations": ("public", "private"),
    "genlayer.gl.genvm_contracts": ("Contract", "get_contract_at", "_make_calldata"),
    "genlayer.gl._internal.gl_call": ("gl_call_generic", "contract_return", "rollback"),
    "genlayer.py.types": ("Address", "u256", "Lazy", "SizedArray"),
    "genlayer.py.keccak": ("Keccak256", "KeccakHash"),
    "genlayer.py.calldata": ("encode", "decode", "to_str", "CalldataEncodable", "DecodingError"),
    "genlayer.py.storage": ("Root", "ROOT_SLOT_ID", "inmem_allocate", "copy_to_memory"),
    "genlayer.py.storage.annotations": ("allow_storage",),
    "genlayer.py.storage.root": ("Root",),
    "genlayer.py.storage.tree_map": ("TreeMap",),
    "genlayer.py.storage.vec": ("DynArray", "Array"),
    "genlayer.py.storage._internal.generate": (
        *("generate_storage", "allow_storage", "_known_descs", "_storage_build", "ORIGINAL_INIT_ATTR", "Lit"),
    ),
    "genlayer.py.evm": ("MethodEncoder", "encode", "decode", "contract_interface"),
    "genlayer.py.evm.calldata": ("MethodEncoder", "encode", "decode", "InplaceTuple", "selector_of"),
    "genlayer.py.evm.generate": ("contract_interface", "contract_generator", "ContractProxy"),
    "genlayer.py.get_schema": ("get_schema",),
    "genlayer.py.public_abi": ("ResultCode", "StorageType"),
    "genlayer.py._internal": ("create2_address",),
    "genlayer.py._internal.event": ("Event",),
    "genlayer.py._internal.reflect": (),
    "genlayer._internal.msg": ("message", "message_raw"),
}


def case_every_path():
    for path, names in PATHS.items():
        module = importlib.import_module(path)
        equal([name for name in names if not hasattr(module, name)], [])


def case_one_thing_under_every_path():
    from genlayer import gl
    from genlayer.gl._internal import gl_call
    from genlayer.py import evm, storage

    calldata = importlib.import_module("genlayer.py.evm.calldata")
    assert gl.vm.gl_call is gl_call
    assert calldata.MethodEncoder is evm.MethodEncoder and calldata.encode is evm.encode
    annotations = importlib.import_module("genlayer.py.storage.annotations")
    assert annotations.allow_storage is storage.allow_storage


def case_evm_view_by_hand():
    """As contracts do that were written when the proxies of EVM contracts could not view."""
    host = fresh()
    from genlayer import Address, gl, u256
    from genlayer.gl._internal.gl_call import gl_call_generic
    from genlayer.py.evm.calldata import MethodEncoder

    encoder = MethodEncoder("balanceOf", (Address,), u256)
    host.answers = [bytes(31) + b"\7"]
    token = Address(bytes([9]) * 20)
    data = encoder.encode_call([Address(bytes([1]) * 20)])
    request = {"EthCall": {"address": token, "calldata": data}}
    equal(gl_call_generic(request, lambda answer: encoder.decode_ret(answer)).get(), 7)
    equal(gl.calldata.decode(bytes.fromhex(host.requests()[0])), request)


def case_prompt_template_by_hand():
    """As validators of contracts do."""
    host = fresh()
    from genlayer import gl
    from genlayer.gl.nondet import _decode_nondet

    host.answers = [gl.calldata.encode({"ok": True}), gl.calldata.encode({"error": {"causes": ["X"]}})]
    fields = {"leader_answer": "a", "validator_answer": "b", "principle": "same"}
    request = {"ExecPromptTemplate": {"template": "EqComparative", **fields}}
    lazy = gl.vm.gl_call.gl_call_generic(request, _decode_nondet)
    equal((lazy.get(), gl.calldata.decode(bytes.fromhex(host.requests()[0]))), (True, request))
    raises(
        gl.nondet.NondetException,
        "{'causes': ['X']}",
        gl.vm.gl_call.gl_call_generic(request, _decode_nondet).get,
    )


def case_results_of_sub_vms():
    from genlayer import gl

    decode = gl.vm._decode_sub_vm_result
    equal(decode(b"\0" + gl.calldata.encode({"a": 1})), {"a": 1})
    raises(gl.vm.UserError, "UserError(message='no')", decode, b"\1no")
    raises(gl.vm.UserError, "UserError(message='no')", decode, memoryview(b"\1no"))
    raises(gl.vm.UserError, "UserError(message='vm error: exit_code 1')", decode, b"\2exit_code 1")


def case_no_answer():
    from genlayer.gl._internal.gl_call import gl_call_generic

    equal(gl_call_generic({"Trace": {"Message": "x"}}, lambda answer: 1 / 0).get(), None)


def case_ends():
    source = (
        "from genlayer import *\nfrom genlayer.gl._internal.gl_call import contract_return, rollback\n"
        "class C(gl.Contract):\n"
        "  @gl.public.write\n  def m(self, how):\n"
        "    try:\n      contract_return([1]) if how else rollback('no')\n    except Exception: pass\n"
    )
    for how, result in ((True, {"Return": [1]}), (False, {"Rollback": "no"})):
        host = Host()
        equal(start(source, {"method": "m", "args": [how]}, host=host).result, result)
        equal(len(host.requests()), 1)
