"""Boot, dispatch and their checks (spec sdk/03 §1, §2, sdk/02 §12)."""

# ruff: noqa: PT018  these functions run without pytest

import importlib

from harness import CONTRACT, Host, equal, start

HEAD = "from genlayer import *\n"
ROOT0 = "372d46c3ada9f897c74d349bbfe0e450c798167c9f580f8daf85def57e96c3ea"
LOCKED = "ba005630745acf3014aaf162e9933040302ca0bef3f56fe2d73c0a08f82c610b"
CODE = "e1ae23412792df6b6a98fb7c9839701fb8b02b6fc7ed022810f78346494685e7"
UPGRADERS = "21b9e013f74608b92947861287b3de76c2c076fe839b7994761bd950cc2e7566"

COUNTER = (
    HEAD
    + """
class C(gl.Contract):
    x: u32
    def __init__(self, a: int = 7):
        self.x = u32(a)
    @gl.public.view
    def get(self) -> int:
        return self.x
    @gl.public.write
    def set(self, x: u32):
        self.x = x
    def priv(self): pass
    attr = 5
    @gl.public.write.payable
    def pay(self): return 'paid'
    @gl.public.view
    def echo(self, *args, **kwargs): return [args, kwargs]
    @gl.public.write
    def fail(self): raise gl.vm.UserError('boo')
    @gl.public.view
    def bad(self): return 1.5
    @gl.public.view
    def boom(self): raise ValueError('x')
    @gl.public.write
    def stop(self, code): exit(code)
"""
)
WITH_HOOKS = (
    HEAD
    + """
class C(gl.Contract):
    @gl.public.write.payable
    def __receive__(self, *args): return ['receive', *args]
    @gl.public.write
    def __handle_undefined_method__(self, name, args, kwargs): return [name, args, kwargs]
    @gl.public.write
    def __on_errored_message__(self): return 'errored'
    def _hidden(self): pass
"""
)


def case_traffic_of_deployment():
    outcome = start(COUNTER, {}, is_init=True)
    zero, code, upgraders = "00" * 32, CODE, UPGRADERS
    expected = []
    for i, slot in enumerate((zero, code, LOCKED, upgraders)):
        expected += [
            ("read", LOCKED, 0, 4),
            ("write", LOCKED, 4 + 32 * i, slot),
            ("write", LOCKED, 0, (i + 1).to_bytes(4, "little").hex()),
        ]
    expected += [("write", ROOT0, 0, "07000000"), ("gl_call", "0e0652657475726e00")]
    equal(outcome.host.log, expected)
    equal(
        outcome.host.storage(),
        {LOCKED: "04000000" + zero + code + LOCKED + upgraders, ROOT0: "07000000"},
    )


def case_traffic_of_a_view_call():
    deployed = start(COUNTER, {"args": [5]}, is_init=True).host
    host = Host(deployed.slots)
    outcome = start(COUNTER, {"method": "get"}, host=host)
    equal(host.log, [("read", ROOT0, 0, 4), ("gl_call", "0e0652657475726e29")])
    equal(outcome.value, 5)


def case_traffic_of_the_schema():
    source = HEAD + (
        "class C(gl.Contract):\n  x: u32\n  def __init__(self, a: int): pass\n"
        "  @gl.public.view\n  def get(self) -> int: return self.x\n"
    )
    outcome = start(source, {"method": "#get-schema"}, value=5)
    equal(
        outcome.value,
        '{"ctor":{"params":[["a","int"]],"kwparams":{}},'
        '"methods":{"get":{"params":[],"kwparams":{},"readonly":true,"ret":"int"}}}',
    )
    equal(len(outcome.host.log), 1)
    outcome = start(COUNTER, {"method": "#get-schema"})
    assert outcome.text().startswith("Exception: (\"couldn't get schema for method `<function C.echo at 0x")


def case_locks_before_the_constructor_fails():
    outcome = start(HEAD + "class C(gl.Contract):\n  def __init__(self, a): pass\n", {}, is_init=True)
    assert outcome.text().startswith("TypeError"), outcome.text()
    equal(len(outcome.host.log), 12)


def case_result_bytes():
    def request(call):
        return start(COUNTER, call).host.requests()[-1]

    equal(
        start(
            HEAD + "class C(gl.Contract):\n  @gl.public.view\n  def m(self): return [1, 5]\n", {"method": "m"}
        ).host.requests(),
        ["0e0652657475726e150929"],
    )
    equal(request({"method": "fail"}), "0e08526f6c6c6261636b1c626f6f")
    equal(request({"method": "set", "args": [1]}), "0e0652657475726e00")


def case_resolution():
    def text(source, call, **message):
        return start(source, call, **message).text()

    equal(start(COUNTER, {"method": "echo", "args": [1], "kwargs": {"k": "v"}, "more": 1}).value, [[1], {"k": "v"}])
    equal(text(COUNTER, {"method": "__init__"}), "ValueError: calls to methods that start with __ is forbidden")
    equal(text(COUNTER, {"method": "#foo"}), "ValueError: unknown special method #foo")
    assert text(COUNTER, {"method": "priv"}).startswith("ValueError: call to private method `<function C.priv at 0x")
    equal(text(COUNTER, {"method": "attr"}), "ValueError: call to private method `5`")
    assert text(COUNTER, {"method": "balance"}).startswith("ValueError: call to private method `<property object at")
    equal(text(COUNTER, {"method": "nothing"}), "ValueError: call to private method `__handle_undefined_method__`")
    assert text(COUNTER, {"method": "set", "args": [1]}, value=1).startswith(
        "ValueError: called non-payable method `<function C.set at"
    )
    assert text(COUNTER, {"method": "set", "args": [1]}, value=1).endswith(" with non-zero value`")
    equal(start(COUNTER, {"method": "pay"}, value=5).value, "paid")
    equal(text(COUNTER, {"method": 5}), "TypeError: method name must be a string, got `int`")
    equal(text(COUNTER, 5), "TypeError: invalid calldata, expected dict got `5`")
    assert text(COUNTER, {"method": "get", "args": [1]}).startswith("TypeError: C.get() takes 1 positional argument")
    # what a transfer to a contract without a method for it ends with
    no_name = "ValueError: call to private method `__handle_undefined_method__`\ncall to private method `__receive__`"
    equal(text(COUNTER, {}, value=5), no_name)
    not_payable = "class C(gl.Contract):\n  @gl.public.write\n  def __receive__(self): pass\n"
    equal(
        text(HEAD + not_payable, {}, value=5).splitlines()[1],
        "called non-payable method `__receive__ with non-zero value`",
    )


def case_abstract_methods():
    source = HEAD + (
        "import abc\nclass Mixin:\n  @gl.public.write\n  @abc.abstractmethod\n  def m(self): pass\n"
        "class C(Mixin, gl.Contract):\n  pass\n"
    )
    assert start(source, {"method": "m"}).text().startswith("ValueError: method is abstract `<function Mixin.m at")


def case_hooks():
    equal(start(WITH_HOOKS, {}).value, ["receive"])
    equal(start(WITH_HOOKS, {"method": "", "args": [3]}).value, ["receive", 3])
    equal(start(WITH_HOOKS, {}, value=100).value, ["receive"])
    equal(start(WITH_HOOKS, {"method": "m", "args": [1], "kwargs": {"a": 2}}).value, ["m", [1], {"a": 2}])
    assert start(WITH_HOOKS, {"method": "m"}, value=100).text().startswith("ValueError: called non-payable method")
    assert start(WITH_HOOKS, {"method": "_hidden"}).text().startswith("ValueError: call to private method")
    equal(start(WITH_HOOKS, {"method": "#error"}, value=100).value, "errored")
    equal(start(COUNTER, {"method": "#error"}, value=100).value, None)
    undefined_only = HEAD + (
        "class C(gl.Contract):\n  @gl.public.write\n"
        "  def __handle_undefined_method__(self, n, a, k): return [n, a, k]\n"
    )
    equal(start(undefined_only, {"args": [1], "kwargs": {"k": 2}}).value, ["", [1], {"k": 2}])


def case_constructor():
    equal(start(COUNTER, {"method": "ignored", "args": [3]}, is_init=True).host.storage()[ROOT0], "03000000")
    public = HEAD + "class C(gl.Contract):\n  @gl.public.write\n  def __init__(self): pass\n"
    equal(start(public, {}, is_init=True).text(), "TypeError: __init__ must be private")
    absent = HEAD + "class C(gl.Contract):\n  x: u8\n"
    equal(start(absent, {}, is_init=True).value, None)
    assert start(absent, {"args": [1]}, is_init=True).text().startswith("TypeError: ")
    mixed = HEAD + "class M:\n  x: u8\n  def __init__(self, x): self.x = x\nclass C(gl.Contract, M): pass\n"
    equal(start(mixed, {"args": [9]}, is_init=True).host.storage()[ROOT0], "09")
    error = HEAD + "class C(gl.Contract):\n  def __init__(self): raise gl.vm.UserError('no')\n"
    equal(start(error, {}, is_init=True).result, {"Rollback": "no"})


def case_contract_classes():
    equal(start("x = 1\n", {}).text(), "Exception: no contract defined")
    two = HEAD + "class A(gl.Contract): pass\nclass B(gl.Contract): pass\n"
    equal(
        start(two, {}).text(),
        "TypeError: only one contract is allowed; first: `<class 'contract.A'>` second: `<class 'contract.B'>`",
    )
    mixin = HEAD + (
        "class M:\n  a: u8\n  @gl.public.view\n  def m(self): return [self.a, self.b]\n"
        "class C(M, gl.Contract):\n  b: u16\n  def __init__(self): self.a = 1; self.b = 2\n"
    )
    host = start(mixin, {}, is_init=True).host
    equal(host.storage()[ROOT0], "010200")
    equal(start(mixin, {"method": "m"}, host=Host(host.slots)).value, [1, 2])
    package = "import genlayer as gl\nclass C(gl.Contract): pass\n"
    equal(start(package, {}).text(), "AttributeError: module 'genlayer' has no attribute 'Contract'")
    module = "import genlayer.gl as gl\nclass C(gl.Contract):\n  @gl.public.view\n  def m(self): return 5\n"
    equal(start(module, {"method": "m"}).value, 5)


def case_other_ends():
    def text(call, **message):
        return start(COUNTER, call, **message).text()

    equal(text({"method": "boom"}), "ValueError: x")
    equal(text({"method": "bad"}), "TypeError: not calldata encodable 1.5: float\nkey 'Return'")
    equal(text({"method": "stop", "args": [3]}), "SystemExit: 3")
    equal(text({}, entry_kind=9), "ValueError: invalid entry kind 9")
    at_import = HEAD + "raise gl.vm.UserError('early')\n"
    equal(start(at_import, {}).text(), "UserError: UserError(message='early')")


def case_exit_callbacks_run_before_the_result():
    source = HEAD + (
        "import atexit\nclass C(gl.Contract):\n  @gl.public.write\n  def m(self):\n"
        "    atexit.register(lambda: gl.trace('bye'))\n    return 1\n"
        "  @gl.public.write\n  def e(self):\n    atexit.register(lambda: gl.trace('bye'))\n"
        "    try:\n      gl.advanced.user_error_immediate('now')\n    except Exception:\n      pass\n"
    )
    bye = "0e0554726163650e074d6573736167651c627965"
    equal(start(source, {"method": "m"}).host.requests(), [bye, "0e0652657475726e09"])
    outcome = start(source, {"method": "e"})
    equal((outcome.host.requests()[0], outcome.result), (bye, {"Rollback": "now"}))


def case_sandbox_and_stage_entries():
    import pickle

    outcome = start("", pickle.dumps(dict), entry_kind=1)
    equal(outcome.value, {})
    stage = pickle.dumps(importlib.import_module("functools").partial(pow, 2))
    equal(start("", stage, entry_kind=2, entry_stage_data=5).value, 32)


def case_message():
    source = HEAD + (
        "class C(gl.Contract):\n  @gl.public.view\n  def m(self):\n    m = gl.message\n"
        "    return [list(m._fields), m.contract_address, m.sender_address, m.origin_address, m.value, m.chain_id,\n"
        "      gl.message_raw['datetime'], gl.message_raw['stack'], gl.message_raw['is_init'],\n"
        "      self.address, self.balance]\n"
    )
    host = Host()
    host.balance = 77
    fields = start(source, {"method": "m"}, host=host, chain_id=3).value
    equal(fields[0], ["contract_address", "sender_address", "origin_address", "value", "chain_id"])
    equal([a.as_bytes[0] for a in fields[1:4]], [1, 2, 2])
    equal(fields[4:9], [0, 3, "2024-11-26T06:42:42.424242Z", [], False])
    equal((fields[9].as_bytes, fields[10]), (CONTRACT, 77))


def case_message_bytes():
    from genlayer.py import calldata

    raw = bytes.fromhex(
        "5e08636861696e5f69640110636f6e74726163745f61646472657373180100000000000000000000000000000000000000086461746574"
        "696d65dc01323032342d31312d32365430363a34323a34322e3432343234325a0a656e7472795f64617461630e066d6574686f641c666f"
        "6f0a656e7472795f6b696e640110656e7472795f73746167655f64617461000769735f696e6974080e6f726967696e5f61646472657373"
        "1802000000000000000000000000000000000000000e73656e6465725f6164647265737318020000000000000000000000000000000000"
        "000005737461636b050576616c756501"
    )
    fields = calldata.decode(raw)
    equal(calldata.decode(fields["entry_data"]), {"method": "foo"})
    source = HEAD + "class C(gl.Contract):\n  @gl.public.view\n  def foo(self): return gl.message.sender_address\n"
    equal(start(source, b"", raw=raw).value.as_bytes[0], 2)


def case_star_import():
    namespace = {}
    exec("from genlayer import *", namespace)
    del namespace["__builtins__"]
    sizes = [f"{sign}{bits}" for sign in "ui" for bits in range(8, 257, 8)]
    expected = ["gl", "Address", "allow_storage", "Array", "DynArray", "Keccak256", "TreeMap", "bigint", *sizes]
    equal(sorted(namespace), sorted(expected))


def case_lazy_gl():
    import pickle
    import sys

    from genlayer import gl

    assert "genlayer.gl" not in sys.modules
    import genlayer.gl as module

    equal(gl.message, module.message)
    assert pickle.loads(pickle.dumps(gl)) is module
    assert b"Proxy" not in pickle.dumps(gl)
    for name in ("vm", "nondet", "eq_principle", "evm", "advanced"):
        assert getattr(gl, name) is getattr(module, name)
    for name in (
        "Address",
        "Keccak256",
        "SizedArray",
        "bigint",
        "u8",
        "i256",
        "Lazy",
        "Event",
        "wasi",
        "calldata",
        "storage",
    ):
        assert getattr(gl, name) is not None
    try:
        gl.ContractAt  # noqa: B018
    except AttributeError as exc:
        equal(str(exc), "module 'genlayer.gl' has no attribute 'ContractAt'")
        equal(exc.__notes__, ["`gl.ContractAt` is from an earlier release; now it is gl.get_contract_at(address)"])
    else:
        raise AssertionError("old names are not kept")
    assert not hasattr(gl, "never_there") and not hasattr(gl, "__wrapped__")


def case_gl_is_patched_like_the_module():
    from genlayer import gl

    before = gl.message
    gl.message = before._replace(value=99)
    import genlayer.gl as module

    equal((gl.message.value, module.message.value), (99, 99))
    module.message = before
    assert gl.message is before
    gl.extra = 5
    assert module.extra == 5 and "extra" in dir(gl)
    del gl.extra
    assert not hasattr(module, "extra")
    assert {"vm", "nondet", "eq_principle", "evm", "advanced", "Contract", "message"} <= set(dir(gl)) & set(dir(module))


def case_every_import_path_of_outside_tools():
    names = {
        "genlayer.py.types": ("Address", "u256", "Lazy", "SizedArray", "Keccak256", "bigint"),
        "genlayer.py.keccak": ("Keccak256", "KeccakHash"),
        "genlayer.py.calldata": (
            *("encode", "decode", "to_str", "CalldataEncodable", "DecodingError"),
            *("Encodable", "EncodableWithDefault", "Decoded"),
        ),
        "genlayer.py.storage": (
            *("DynArray", "Array", "TreeMap", "allow_storage", "inmem_allocate", "Root", "ROOT_SLOT_ID", "Slot"),
            *("Manager", "Indirection", "VLA", "copy_to_memory", "InmemManager", "generate_storage"),
        ),
        "genlayer.py.storage._internal.generate": (
            *("generate_storage", "_known_descs", "_storage_build", "ORIGINAL_INIT_ATTR", "Lit", "IntDesc"),
            *("_DynArrayDesc", "_Instantiation"),
        ),
        "genlayer.py.evm": (
            *("contract_interface", "signature_of", "type_name_of", "selector_of", "MethodEncoder", "encode", "decode"),
            *("ContractProxy", "ContractDeclaration", "InplaceTuple", "contract_generator", "bytes1", "bytes32"),
        ),
        "genlayer.py.get_schema": ("get_schema",),
        "genlayer.py.public_abi": (
            *("ResultCode", "StorageType", "EntryKind", "MemoryLimiterConsts", "SpecialMethod", "VmError"),
            *("EVENT_MAX_TOPICS", "ABSENT_VERSION", "CODE_SLOT_OFFSET"),
        ),
        "genlayer.py._internal": ("create2_address", "event", "reflect"),
        "genlayer.py._internal.event": ("Event",),
        "genlayer._internal.msg": ("message", "message_raw", "MessageType", "MessageRawType"),
        "genlayer.gl": (
            *("Lazy", "Event", "MessageType", "MessageRawType", "message", "message_raw", "private", "public", "wasi"),
            *("calldata", "storage", "contract_interface", "deploy_contract", "Contract", "get_contract_at", "vm"),
            *("BaseContract", "ContractProxy", "trace", "trace_time_micro", "nondet", "eq_principle", "evm"),
            *("advanced", "events", "annotations", "genvm_contracts"),
        ),
        "genlayer.gl.vm": (
            *("Return", "VMError", "UserError", "Result", "unpack_result", "spawn_sandbox"),
            *("run_nondet", "run_nondet_unsafe"),
        ),
        "genlayer.gl.nondet": ("exec_prompt", "Image", "NondetException", "web"),
        "genlayer.gl.nondet.web": ("Response", "request", "get", "post", "delete", "head", "patch", "render"),
        "genlayer.gl.eq_principle": ("strict_eq", "prompt_comparative", "prompt_non_comparative"),
        "genlayer.gl.advanced": ("user_error_immediate", "emit_raw_event"),
        "genlayer.gl.events": ("Event",),
        "genlayer.gl.annotations": ("private", "public"),
        "genlayer.gl.genvm_contracts": ("Contract", "BaseContract", "ContractProxy", "__known_contract__"),
    }
    # a package shows its submodules once something has imported them
    for module in names:
        importlib.import_module(module)
    missing = [f"{m}.{n}" for m, every in names.items() for n in every if not hasattr(importlib.import_module(m), n)]
    equal(missing, [])
    for name in ("run_nondet", "run_nondet_unsafe", "spawn_sandbox"):
        assert callable(getattr(importlib.import_module("genlayer.gl.vm"), name).lazy)


def case_decorators():
    import genlayer.gl as gl

    def method(self): ...

    def marks(decorate):
        def f(self): ...

        assert decorate(f) is f
        return {name.removeprefix("__gl_").removesuffix("__"): value for name, value in vars(f).items()}

    assert gl.private(method) is method and not vars(method)
    equal(marks(gl.public.view), {"public": True, "readonly": True})
    equal(marks(gl.public.write), {"public": True, "readonly": False})
    equal(marks(gl.public.write.payable), {"public": True, "readonly": False, "payable": True})
    gas = {"min_gas_leader": 100, "min_gas_validator": 20}
    equal(marks(gl.public.write.min_gas(leader=100, validator=20)), {"public": True, "readonly": False, **gas})
    equal(
        marks(gl.public.write.min_gas(leader=100, validator=20).payable),
        {"public": True, "readonly": False, "payable": True, **gas},
    )
    try:
        gl.public.view(property(method))
    except AttributeError:
        pass
    else:
        raise AssertionError("properties take no attributes")
    assert not hasattr(gl.public.view, "payable") and not hasattr(gl.public, "init")


def case_storage_of_a_contract():
    source = (
        HEAD
        + """
class C(gl.Contract):
    d: u8 = u8(5)
    s: str
    def __init__(self): self.s = 'ab'
    @gl.public.write
    def upgrade(self, code: bytes):
        slot = gl.storage.Root.get().code.get()
        slot.truncate()
        slot.extend(code)
    @gl.public.view
    def get(self): return [self.d, self.s]
"""
    )
    host = start(source, {}, is_init=True).host
    equal(start(source, {"method": "get"}, host=Host(host.slots)).value, [0, "ab"])
    host = Host()
    start(source, {"method": "upgrade", "args": [b"new"]}, host=host)
    equal(host.storage(), {CODE: "03000000" + b"new".hex()})
    equal([entry[1:3] for entry in host.log if entry[0] == "write"], [(CODE, 0), (CODE, 0), (CODE, 4)])


def case_pickled_host_storage_warns():
    import pickle
    import warnings

    import genlayer.gl  # noqa: F401
    from genlayer.py.storage import Root

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = pickle.dumps(Root.MANAGER)
    equal(
        [str(w.message) for w in caught],
        ["Detected pickling storage class. Reading storage in nondet mode is not supported"],
    )
    assert pickle.loads(data) is Root.MANAGER


def case_profiler():
    import base64
    import contextlib
    import gzip
    import io
    import marshal
    import os

    source = COUNTER + "\nimport atexit\n"
    host = Host()
    host.answers = [b"\x01"] * 100000
    os.environ["GENLAYER_ENABLE_PROFILER"] = "true"
    err = io.StringIO()
    try:
        with contextlib.redirect_stderr(err):
            outcome = start(source, {"method": "echo"}, host=host)
    finally:
        del os.environ["GENLAYER_ENABLE_PROFILER"]
    equal(outcome.value, [[], {}])
    assert err.getvalue().count("\n") == 2, err.getvalue()[:3000]
    marker, packed = err.getvalue().splitlines()
    equal(marker, "=== stats (gzip, base64) ===")
    data = base64.b64decode(packed)
    equal(data[4:8], bytes(4))
    stats = marshal.loads(gzip.decompress(data))
    assert any(name == "echo" for _file, _line, name in stats), sorted(stats)
