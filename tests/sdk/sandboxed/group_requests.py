"""Request bytes, answers, nondet logic, events (spec sdk/04)."""

# ruff: noqa: PT018  these functions run without pytest

import pickle
import sys
import types

from harness import equal, fresh, raises

ADDRESS = b"0" * 20
HEX_ADDRESS = "30" * 20


def answer(value):
    from genlayer.py import calldata

    return calldata.encode(value)


def use_pickle():
    """cloudpickle is a runner of its own; functions of modules are pickled the same without it."""
    module = types.ModuleType("cloudpickle")
    module.dumps = lambda obj: pickle.dumps(obj, protocol=5)
    sys.modules["cloudpickle"] = module


def last_request(host):
    from genlayer.py import calldata

    return calldata.decode(bytes.fromhex(host.requests()[-1]))


def case_messages():
    host = fresh()
    from genlayer import Address, gl
    from genlayer.py.public_abi import StorageType

    at = gl.get_contract_at(Address(ADDRESS))
    equal(at.emit().foo(1, 2, k=3), None)
    at.emit_transfer(value=7)
    host.answers = [b"\x00" + answer(5)]
    equal(at.view().v(1), 5)
    equal(gl.deploy_contract(code=b"c"), None)
    gl.trace("a", 1, sep="-")
    host.answers = [answer(12)]
    equal(gl.trace_time_micro(), 12)
    equal(
        host.requests(),
        [
            "0e0b506f73744d6573736167652607616464726573731830303030303030303030303030303030303030300863616c6c646174611e0461"
            "726773150911066b77617267730e016b19066d6574686f641c666f6f026f6e4c66696e616c697a65640576616c756501",
            "0e0b506f73744d6573736167652607616464726573731830303030303030303030303030303030303030300863616c6c6461746106026f"
            "6e4c66696e616c697a65640576616c756539",
            "0e0c43616c6c436f6e74726163741e07616464726573731830303030303030303030303030303030303030300863616c6c646174611604"
            "617267730d09066d6574686f640c7605737461746511",
            "0e0e4465706c6f79436f6e74726163742e0863616c6c646174610604636f64650b63026f6e4c66696e616c697a65640a73616c745f6e6f"
            "6e6365010576616c756501",
            "0e0554726163650e074d6573736167651c612d31",
            "0e0554726163650e0f52756e74696d654d6963726f53656300",
        ],
    )
    at.emit(value=5, on="accepted").m()
    message = last_request(host)["PostMessage"]
    equal((message["value"], message["on"], message["calldata"]), (5, "accepted", {"method": "m"}))
    at.view(state=StorageType.DEFAULT).m()
    equal(last_request(host)["CallContract"]["state"], 0)
    raises(ValueError, "value must be greater than 0 for emit_transfer", at.emit_transfer, value=0)
    raises(TypeError, "address expected", gl.get_contract_at, HEX_ADDRESS)
    assert gl.contract_interface(type("I", (), {})) is gl.get_contract_at
    host.balance = 3
    equal((at.balance, at.address), (3, Address(ADDRESS)))
    equal(host.log[-1], ("get_balance", HEX_ADDRESS))


def case_view_results():
    host = fresh()
    from genlayer import Address, gl

    at = gl.get_contract_at(Address(ADDRESS))
    host.answers = [b"\x01no", b"\x02exit_code 1", b"\x03"]
    raises(gl.vm.UserError, "UserError(message='no')", at.view().m)
    raises(gl.vm.UserError, "UserError(message='vm error: exit_code 1')", at.view().m)
    raises(AssertionError, "unknown type 3", at.view().m)
    lazy = at.view().m.lazy(1)
    equal(len(host.requests()), 4)
    equal(lazy.get(), None)


def case_refused_request():
    host = fresh()
    from genlayer import Address, gl

    host.answers = [SystemError("6: forbidden")]
    raises(SystemError, "6: forbidden", gl.get_contract_at(Address(ADDRESS)).emit().m)


def case_deployment():
    from genlayer import Address, gl
    from genlayer.py._internal import create2_address

    equal(
        create2_address(Address("0x03FB09251eC05ee9Ca36c98644070B89111D4b3F"), 127, 255).as_hex,
        "0x31a38fac42349DC16a84A22FbBACCBb6E238B7F9",
    )
    got = gl.deploy_contract(code=b"c", args=[1], kwargs={"a": 2}, salt_nonce=1)
    equal(got.as_hex, "0xf539Cb83f077Cd01BDd1a4E002866dCC0D15D633")


def case_web_and_llm():
    host = fresh()
    from genlayer import gl

    page = answer({"ok": {"text": "page"}})
    response = answer({"ok": {"response": {"status": 200, "headers": {"a": b"b"}, "body": b"x"}}})
    host.answers = [page, response, response, answer({"ok": "said"}), answer({"ok": {"a": 1}})]
    equal(gl.nondet.web.render("http://a"), "page")
    got = gl.nondet.web.get("http://a", headers={"A": "b"})
    equal(got, gl.nondet.web.Response(200, {"a": b"b"}, b"x"))
    gl.nondet.web.post("http://a", body="q")
    equal(gl.nondet.exec_prompt("p"), "said")
    equal(gl.nondet.exec_prompt("p", response_format="json", images=[b"im"], unknown=5), {"a": 1})
    equal(
        host.requests(),
        [
            "0e0957656252656e6465721e046d6f646524746578740375726c44687474703a2f2f6111776169745f61667465725f6c6f616465641c306d73",
            "0e0a576562526571756573742604626f64790007686561646572730e01410b62066d6574686f641c4745540375726c44687474703a2f2f61",
            "0e0a576562526571756573742604626f64790b71076865616465727306066d6574686f6424504f53540375726c44687474703a2f2f61",
            "0e0a4578656350726f6d70741e06696d61676573050670726f6d70740c700f726573706f6e73655f666f726d61742474657874",
            "0e0a4578656350726f6d70741e06696d616765730d13696d0670726f6d70740c700f726573706f6e73655f666f726d6174246a736f6e",
        ],
    )
    host.answers = [answer({"ok": "said"})]
    gl.nondet.exec_prompt("p", image=gl.nondet.Image(b"raw", None))
    equal(last_request(host)["ExecPrompt"]["images"], [b"raw"])
    host.answers = [answer({"error": {"causes": ["X"], "fatal": True}})]
    try:
        gl.nondet.exec_prompt("p")
    except gl.nondet.NondetException as exc:
        equal(exc.args, ({"causes": ["X"], "fatal": True},))
    for name, method in (("delete", "DELETE"), ("head", "HEAD"), ("patch", "PATCH")):
        getattr(gl.nondet.web, name).lazy("u", headers={"h": b"v"})
        equal(last_request(host)["WebRequest"], {"url": "u", "method": method, "headers": {"h": b"v"}, "body": None})
    gl.nondet.web.render.lazy("u", mode="html", wait_after_loaded="2s")
    equal(last_request(host)["WebRender"], {"url": "u", "mode": "html", "wait_after_loaded": "2s"})
    gl.nondet.web.request.lazy("u", method="OPTIONS", body=b"\xff")
    equal(last_request(host)["WebRequest"]["body"], b"\xff")
    assert not hasattr(gl.nondet.web, "put") and not hasattr(gl.nondet.web, "options")


def case_results():
    from genlayer import gl

    vm = gl.vm
    equal(
        (repr(vm.Return(1)), repr(vm.VMError("exit_code 1"))), ("Return(calldata=1)", "VMError(message='exit_code 1')")
    )
    error = vm.UserError("boo")
    equal((str(error), repr(error), error.args), ("UserError(message='boo')", "UserError(message='boo')", ("boo",)))
    equal(pickle.loads(pickle.dumps(vm.UserError(message="k"))), vm.UserError("k"))
    raises(TypeError, "unhashable type: 'UserError'", hash, error)
    assert vm.Return(1) == vm.Return(True) != vm.VMError("1") and vm.VMError("a") != vm.UserError("a")
    try:
        vm.UserError("a", "b")
    except TypeError:
        pass
    else:
        raise AssertionError("two arguments")
    equal(vm.unpack_result(vm.Return([1])), [1])
    raises(vm.UserError, "UserError(message='boo')", vm.unpack_result, error)
    raises(vm.UserError, "UserError(message='vm error: OOM')", vm.unpack_result, vm.VMError("OOM"))


def case_lazy():
    from genlayer.py.types import Lazy

    calls = []
    lazy = Lazy(lambda: calls.append(1) or 5)
    equal((lazy.get(), lazy.get(), calls), (5, 5, [1]))

    def fail():
        calls.append(2)
        raise ValueError("no")

    lazy = Lazy(fail)
    caught = []
    for _ in range(2):
        try:
            lazy.get()
        except ValueError as exc:
            caught.append(exc)
    assert caught[0] is caught[1] and calls == [1, 2]


def case_sandbox():
    host = fresh()
    use_pickle()
    from genlayer import gl
    from genlayer.py import calldata

    host.answers = [b"\x00" + answer(None), b"\x01RB", b"\x02exit_code 1"]
    equal(repr(gl.vm.spawn_sandbox(dict)), "Return(calldata=None)")
    equal(gl.vm.spawn_sandbox(dict, allow_write_ops=True), gl.vm.UserError("RB"))
    equal(gl.vm.spawn_sandbox.lazy(dict).get(), gl.vm.VMError("exit_code 1"))
    flags = [calldata.decode(bytes.fromhex(r))["Sandbox"]["allow_write_ops"] for r in host.requests()]
    equal(flags, [False, True, False])
    assert pickle.loads(last_request(host)["Sandbox"]["data"]) is dict


def leader_five():
    return 5


def leader_text():
    return "inp"


def verdict(_leader):
    return True


def stages(host):
    """The two functions that the last request sends to other VMs."""
    request = last_request(host)["RunNondet"]
    return pickle.loads(request["data_leader"]), pickle.loads(request["data_validator"])


def case_run_nondet_unsafe():
    host = fresh()
    use_pickle()
    from genlayer import gl

    host.answers = [b"\x00" + answer(9), b"\x01err", b"\x02OOM"]
    equal(gl.vm.run_nondet_unsafe(leader_five, verdict), 9)
    leader, validator = stages(host)
    equal((leader(None), leader("ignored"), validator({"leaders_result": b"\x00\x09"})), (5, 5, True))
    raises(gl.vm.UserError, "UserError(message='err')", gl.vm.run_nondet_unsafe, leader_five, verdict)
    raises(gl.vm.UserError, "UserError(message='vm error: OOM')", gl.vm.run_nondet_unsafe, leader_five, verdict)


def never_equal(_leader, _own):
    return False


def case_run_nondet_table():
    host = fresh()
    use_pickle()
    from genlayer import gl

    def judge(leader_result, own, **comparers):
        host.answers = [None, own]
        gl.vm.run_nondet.lazy(leader_five, verdict, **comparers)
        leader, validator = stages(host)
        equal(leader(None), 5)
        raises(AssertionError, "", leader, 1)
        result = validator({"leaders_result": leader_result})
        sandbox = last_request(host)["Sandbox"]
        equal(sandbox["allow_write_ops"], True)
        equal(pickle.loads(sandbox["data"])(), True)
        return result

    value, true, false = b"\x00\x09", b"\x00\x10", b"\x00\x08"
    user, user2, error, error2 = b"\x01a", b"\x01b", b"\x02exit_code 1", b"\x02OOM"
    table = {
        (value, true): True, (value, false): False, (value, user): False, (value, error): False,
        (user, true): False, (user, false): False, (user, value): False, (user, user): True, (user, user2): False,
        (user, error): False, (error, true): False, (error, false): False, (error, value): False, (error, user): False,
        (error, error): True, (error, error2): False,
    }  # fmt: skip
    for (leader_result, own), expected in table.items():
        equal((leader_result, own, judge(leader_result, own)), (leader_result, own, expected))
    raises(TypeError, "validator function returned non-bool `1`", judge, value, value)
    equal(judge(user, user, compare_user_errors=never_equal), False)
    equal(judge(error, error, compare_vm_errors=never_equal), False)


def answer_dict():
    return {"a": [1, "q"]}


def case_eq_principles():
    host = fresh()
    use_pickle()
    from genlayer import gl

    eq = gl.eq_principle
    host.answers = [b"\x00\x29"]
    equal(eq.strict_eq(leader_five), 5)
    _, validator = stages(host)
    for own, agrees in ((b"\x00\x29", True), (b"\x00\x31", False), (b"\x01x", False)):
        host.answers = [own]
        equal(validator({"leaders_result": b"\x00\x29"}), agrees)
    host.answers = [b"\x00\x10"]
    equal(validator({"leaders_result": b"\x00\x09"}), True)

    def inner():
        """What the validator runs in its sandbox."""
        return pickle.loads(last_request(host)["Sandbox"]["data"])

    eq.prompt_comparative.lazy(answer_dict, "same")
    leader, validator = stages(host)
    equal(leader(None), {"a": [1, "q"]})
    host.answers = [b"\x00\x10"]
    equal(validator({"leaders_result": b"\x00" + answer({"a": [1, "q"]})}), True)
    check = inner()
    host.answers = [answer({"ok": False})]
    equal(check(), False)
    equal(
        host.requests()[-1],
        "0e124578656350726f6d707454656d706c617465260d6c65616465725f616e737765727c7b2761273a205b312c202771275d7d097072696e6369"
        "706c652473616d650874656d706c6174656c4571436f6d70617261746976651076616c696461746f725f616e737765727c7b2761273a205b31"
        "2c202771275d7d",
    )
    host.answers = [b"\x00\x08"]
    validator({"leaders_result": b"\x01boo"})
    equal(inner()(), False)

    eq.prompt_non_comparative.lazy(leader_text, task="T", criteria="C")
    leader, validator = stages(host)
    host.answers = [answer({"ok": "OUT"})]
    equal(leader(None), "OUT")
    equal(
        host.requests()[-1],
        "0e124578656350726f6d707454656d706c617465260863726974657269610c4305696e7075741c696e70047461736b0c540874656d706c617465"
        "b40145714e6f6e436f6d70617261746976654c6561646572",
    )
    host.answers = [b"\x00\x10"]
    equal(validator({"leaders_result": b"\x00" + answer("OUT")}), True)
    check = inner()
    host.answers = [answer({"ok": True})]
    equal(check(), True)
    equal(
        host.requests()[-1],
        "0e124578656350726f6d707454656d706c6174652e0863726974657269610c4305696e7075741c696e70066f75747075741c4f5554047461736b"
        "0c540874656d706c617465cc0145714e6f6e436f6d706172617469766556616c696461746f72",
    )


def case_events():
    host = fresh()
    from genlayer import gl

    class TestEvent(gl.Event):
        def __init__(self, user_id, action, /, **blob): ...

    equal((TestEvent.name, TestEvent.indexed), ("TestEvent", ("action", "user_id")))
    equal(TestEvent.signature, "TestEvent(action,user_id)")
    TestEvent(42, "create", timestamp=1234567890, data="test_data").emit()
    sent = last_request(host)["EmitEvent"]
    equal(
        [topic.hex() for topic in sent["topics"]],
        [
            "b4751df565fc3554764e2790943960c9cdfe7cf510331db29881bf1523b40dac",
            "d102" + "00" * 30,
            "34637265617465" + "00" * 25,
        ],
    )
    equal(sent["blob"], {"action": 42, "user_id": "create", "timestamp": 1234567890, "data": "test_data"})
    blob = "26" + "06" + b"action".hex() + "d102" + "04" + b"data".hex() + "4c" + b"test_data".hex()
    blob += "09" + b"timestamp".hex() + "91adc0e524" + "07" + b"user_id".hex() + "34" + b"create".hex()
    assert blob in host.requests()[-1]

    class Ev(gl.Event):
        def __init__(self, b, a, /, **blob): ...

    Ev(1, "x" * 40).emit()
    sent = last_request(host)["EmitEvent"]
    equal(sent["topics"][0].hex(), "6f540626bf1f225fb18a54b91900f9d4ac708d175e8b1d5e8208db4da7891a1d")
    equal(sent["topics"][2].hex(), "9d3b7505868c0dda43543627f7d41eca24147cbac8ad645d67679546f3c6c344")
    equal(sent["blob"], {"a": 1, "b": "x" * 40})
    raises(TypeError, "indexed fields mismatch, expected ('a', 'b'), but got 1 positional arguments", Ev, 1)
    raises(TypeError, "indexed field `a` must not be present in blob", Ev, 1, 2, a=3)
    raises(NotImplementedError, "", gl.Event)

    class Renamed(gl.Event):
        name = "Other"

        def __init__(self): ...

    equal(Renamed.signature, "Other()")
    gl.advanced.emit_raw_event([b"\1" * 32], {"k": 1})
    equal(last_request(host), {"EmitEvent": {"topics": [b"\1" * 32], "blob": {"k": 1}}})


def case_event_declarations():
    import warnings

    from genlayer import gl

    def declare(init):
        return type("E", (gl.Event,), {"__init__": init} if init else {})

    notes = raises(AssertionError, "an event needs an `__init__` of its own", declare, None)
    equal(notes, ["generating event class `E`"])
    bad = {
        "first argument must be `self`": lambda this: None,
        "`*args` is forbidden": lambda self, *args: None,
        "keyword-only arguments are forbidden": lambda self, *, a: None,
        "specify `/` after indexed fields": lambda self, a: None,
    }
    for text, init in bad.items():
        notes = raises(TypeError, text, declare, init)
        equal(notes[-1], "generating event class `E`")

    def annotated(self, a: int): ...

    notes = raises(TypeError, "specify `/` after indexed fields", declare, annotated)
    equal(notes, ["parameter `a`", "of type `int`", "generating event class `E`"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        declare(lambda self, a, b, c, d, e, /: None)
    assert str(caught[0].message).startswith("event has too many indexed fields, it may not be emitted correctly: ")


def case_docs_mode():
    import os

    fresh(raw=b"not a message")
    os.environ["GENERATING_DOCS"] = "true"
    try:
        import genlayer.gl as gl
    finally:
        del os.environ["GENERATING_DOCS"]
    assert gl.message is ... and gl.message_raw is ...
