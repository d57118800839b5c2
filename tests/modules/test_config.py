"""Configuration of the services: placeholders, and errors that say where, what and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.config import genvm_version
from pygenvm.modules.config import ConfigError, Fields, common_settings, expanded, host_and_port, located, read_document
from pygenvm.modules.templating import UnknownVariable, expand_config, expand_session

EXE = Path("/opt/genvm/bin")
DOCUMENT: dict[str, Any] = {
    "bind_address": "127.0.0.1:3031",
    "lua_script_path": "/s.lua",
    "vm_count": 2,
    "lua_path": "/lib/?.lua",
    "signer_url": "http://127.0.0.1/#{path}",
    "signer_headers": {"authorization": "Bearer #{token}"},
    "threads": 4,
    "blocking_threads": 16,
    "log_disable": "tracing*, polling*,",
}


# --- placeholders ---------------------------------------------------------------------------------


def test_placeholders_are_replaced_once_everywhere() -> None:
    document = {
        "a": "${exeDir}/x/${ENV[NAME]}-${ENV[UNSET]}-${exeDir}",
        "${ENV[NAME]}": ["${exeDir}", {"b": "${ENV[NAME]}"}, 5, None, True],
        "kept": "#{tx_id} $exeDir ${ENV[a-b]} ${not a name} $${",
    }
    environ = {"NAME": "${exeDir}"}
    assert expand_config(document, {"exeDir": "/e"}, environ) == {
        "a": "/e/x/${exeDir}--/e",
        "${exeDir}": ["/e", {"b": "${exeDir}"}, 5, None, True],
        "kept": "#{tx_id} $exeDir ${ENV[a-b]} ${not a name} $${",
    }


def test_keys_of_json_bodies_are_left_alone() -> None:
    assert expand_config({"${exeDir}": "${exeDir}"}, {"exeDir": "/e"}, {}, keys=False) == {"${exeDir}": "/e"}


@pytest.mark.parametrize("text", ["${nope}", "a ${} b", "${exedir}", "${ENV}"])
def test_unknown_variables_are_errors(text: str) -> None:
    with pytest.raises(UnknownVariable, match=r"unknown variable .*; there are exeDir, x"):
        expand_config({"a": [text]}, {"exeDir": "/e", "x": ""}, {"nope": "1"})


def test_session_values() -> None:
    values = {"tx_id": "0x1", "a": "#{tx_id}"}
    assert expand_session("#{tx_id}/#{a}/#{nope}/#{}", values) == "0x1/#{tx_id}/#{nope}/#{}"
    assert expand_session("#{tx_id} ${tx_id}", values, strict=True) == "0x1 ${tx_id}"
    with pytest.raises(UnknownVariable, match=r"#{nope}; there are a, tx_id"):
        expand_session("#{nope}", values, strict=True)


# --- documents ------------------------------------------------------------------------------------


def read(folder: Path, text: str) -> dict[str, Any]:
    path = folder / "x.yaml"
    path.write_text(text)
    document = read_document(path, None, EXE)
    with located(path, text):
        common_settings(document)
    return document


def test_a_document_is_read_with_the_specified_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "k")
    path = tmp_path / "x.yaml"
    path.write_text("a: ${exeDir}/../x\nb: ['${genvmVersion}']\n${ENV[SOME_KEY]}: ${ENV[NO_SUCH_KEY]}\n")
    assert read_document(path, None, EXE) == {"a": "/opt/genvm/bin/../x", "b": [genvm_version()], "k": ""}
    assert read_document(None, '{"a": "${exeDir}"}', EXE) == {"a": "/opt/genvm/bin"}
    assert expanded({"a": {"b": "${exeDir}"}}, EXE) == {"a": {"b": "/opt/genvm/bin"}}


def test_common_keys() -> None:
    settings = common_settings(DOCUMENT | {"unknown": 1, "log_level": "Warning", "path_token": "a-b"})
    assert settings.log_disable == ("tracing*", "polling*")
    assert (settings.log_level, settings.path_token, settings.vm_count) == ("warn", "a-b", 2)
    assert settings.signer_headers == {"authorization": "Bearer #{token}"}


BAD = {
    "bind_address: 5": "bind_address: must be a text, not 5",
    "bind_address: localhost": "bind_address: 'localhost' is no address with a port\n  write HOST:PORT",
    "bind_address: '::1:3031'": "bind_address: '::1:3031' has an IPv6 address that is not in [brackets]",
    "bind_address: '127.0.0.1:70000'": "bind_address: '70000' is no port",
    "vm_count: 0": "vm_count: must be at least 1, not 0",
    "vm_count: true": "vm_count: must be a whole number, not True",
    "vm_count: 1.5": "vm_count: must be a whole number, not 1.5",
    "vm_count: 1000": "vm_count: must be at most 64, not 1000",
    "vm_count: null": "vm_count: is missing",
    "threads: many": "threads: must be a whole number, not 'many'",
    "signer_headers: [a]": "signer_headers: must be a mapping, not ['a']",
    "signer_headers: {a: 1}": "signer_headers.a: must be a text, not 1\n  put it in quotes",
    "signer_headers: {1: a}": "signer_headers: the key 1 must be a text; write it in quotes",
    "log_disable: [a]": "log_disable: must be a text, not ['a']",
    "log_level: loud": "log_level: 'loud' is none of trace, debug, info, warn, error",
    "path_token: a/b": "path_token: may only have letters, digits, - and _",
    "request_seconds: 5000": "request_seconds: must be at most 1200, not 5000",
    "request_seconds: .nan": "request_seconds: must be a number, not nan",
    "lua_path: ${nope}": "lua_path: unknown variable ${nope}; there are exeDir, genvmVersion, modulesDir",
}


@pytest.mark.parametrize("line", BAD)
def test_what_is_wrong_is_told_with_file_line_and_key(tmp_path: Path, line: str) -> None:
    key = line.partition(":")[0]
    good = {name: value for name, value in DOCUMENT.items() if name != key}
    text = "# a comment\n" + "".join(f"{name}: {value!r}\n" for name, value in good.items()) + line + "\n"
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path}/x.yaml:{len(good) + 2}: {BAD[line]}")


@pytest.mark.parametrize("key", list(DOCUMENT))
def test_required_keys(tmp_path: Path, key: str) -> None:
    text = "".join(f"{name}: {value!r}\n" for name, value in DOCUMENT.items() if name != key)
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path}/x.yaml: {key}: is missing\n  --print-config shows")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"a: [1", "x.yaml: not YAML: "),
        (b"a: 1\na: 2", "x.yaml: repeated keys in a mapping"),
        (b"a: &x 1\nb: *x", "x.yaml: aliases are not supported"),
        (b"[" * 100, "x.yaml: nested more than 32 levels deep"),
        (b"just a text", "x.yaml: must be a mapping, not 'just a text'"),
        (b"", "x.yaml: must be a mapping, not None"),
        (b"a: b\n1: 2", "x.yaml: the key 1 must be a text"),
        (b"a: 1\nb: \xff", "x.yaml:2: not UTF-8"),
        (b"a: '" + b"x" * (1 << 20) + b"'", "x.yaml: more than 1048576 bytes"),
        (b"a: " + b"9" * 5000, "x.yaml: a value of 5000 characters for a int"),
    ],
)
def test_documents_that_are_none(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as raised:
        read_document(path, None, EXE)
    assert str(raised.value).startswith(f"{tmp_path}/{told}")
    assert len(str(raised.value)) < 1000


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read: No such file or directory\n  --print-config"):
        read_document(tmp_path / "none.yaml", None, EXE)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_document(tmp_path, None, EXE)


def test_the_line_of_a_key_inside_others(tmp_path: Path) -> None:
    text = "backends:\n  one:\n    models: [a]\n  two:\n    models:\n      m:\n        - 1\n        - x\n"
    path = tmp_path / "x.yaml"
    for key, line in (
        (("backends",), 1),
        (("backends", "two", "models", "m", 1), 8),
        (("backends", "two", "host"), 4),
        (("nothing",), None),
        ((), None),
    ):
        with pytest.raises(ConfigError) as raised, located(path, text):
            raise ConfigError("is wrong", key=key)
        assert raised.value.line == line
    assert str(raised.value) == f"{path}: is wrong"
    with pytest.raises(ConfigError, match=r"^backends.m\[0\].x: is wrong\\x1b\n  do it$"):
        raise ConfigError("is wrong\x1b", key=("backends", "m", 0, "x"), remedy="do it")


def test_fields() -> None:
    fields = Fields({"t": "a", "n": 1, "f": 0.5, "b": False, "l": ["x"], "m": {"a": "b"}, "s": {"x": {"y": 1}}})
    assert (fields.text("t"), fields.integer("n"), fields.number("n"), fields.number("f")) == ("a", 1, 1.0, 0.5)
    assert (fields.boolean("b"), fields.texts("l"), fields.text_map("m")) == (False, ["x"], {"a": "b"})
    assert fields.sections("s")["x"].integer("y") == 1
    assert (fields.text("none", ""), fields.integer("none", None), fields.texts("none", [])) == ("", None, [])
    assert "t" in fields
    assert "none" not in fields
    with pytest.raises(ConfigError, match=r"s\.x\.y: must be a text, not 1"):
        fields.section("s").section("x").text("y")
    with pytest.raises(ConfigError, match=r"l\[1\]: must be a text"):
        Fields({"l": ["a", 1]}).texts("l")
    with pytest.raises(ConfigError, match="t: 'a' is none of b, c"):
        fields.text("t", choices=("b", "c"))


def test_addresses() -> None:
    assert host_and_port("127.0.0.1:3031") == ("127.0.0.1", 3031)
    assert host_and_port("[::1]:0") == ("::1", 0)
    for bad in ("", ":", ":80", "a:", "a:-1", "a:65536", "a:1e3", "a:\u0661"):
        with pytest.raises(ValueError, match=r"no port|no address"):
            host_and_port(bad)
