"""Every route of the manager, with exact JSON (spec modules/04 §2 to §9)."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pygenvm.manager import limits
from pygenvm.manager.requests import BODIES
from tests.manager.live import live_manager
from tests.manager.process import HEADER, ManagerProcess, manager_process, run_body
from tests.support.running import until

CODE_SLOT = "e1ae23412792df6b6a98fb7c9839701fb8b02b6fc7ed022810f78346494685e7"


# --- status, settings -----------------------------------------------------------------------------


def test_status(manager: ManagerProcess) -> None:
    assert manager.ask("GET", "/status") == (
        200,
        {
            "llm_module": "stopped",
            "web_module": "stopped",
            "permits": 8,
            "permits_used": 0,
            "waiting": 0,
            "running": 0,
        },
    )


@pytest.mark.parametrize(
    ("given", "level"),
    [("trace", "trace"), ("DEBUG", "debug"), ("Warning", "warn"), ("warn", "warn"), ("error", "error")],
)
def test_log_levels(manager: ManagerProcess, given: str, level: str) -> None:
    assert manager.post("/log/level", {"level": given}) == {"result": "log_level_set", "level": level}
    manager.post("/log/level", {"level": "info"})


def test_a_log_level_holds_for_what_is_logged(manager: ManagerProcess) -> None:
    manager.post("/log/level", {"level": "error", "target": "genvm_modules::manager"})
    before = len(manager.log)
    manager.start("unix:///nonexistent")
    manager.idle()
    manager.post("/log/level", {"level": "info"})
    assert [record for record in manager.log[before:] if record["level"] != "error"] == []
    run = manager.start("unix:///nonexistent")
    manager.logged("genvm ended", genvm_id=run)


def test_bad_log_levels(manager: ManagerProcess) -> None:
    assert manager.refused("POST", "/log/level", {"level": "loud"}).startswith("invalid log level")
    assert manager.refused("POST", "/log/level", {}).startswith("invalid log level: level is missing")
    assert manager.refused("POST", "/log/level", {"level": 5}).startswith("invalid log level: level must be a text")


def test_levels_of_targets_are_bounded(manager: ManagerProcess) -> None:
    long = {"level": "info", "target": "x" * 1000}
    assert "more than 200 characters" in manager.refused("POST", "/log/level", long)
    for number in range(64):
        manager.post("/log/level", {"level": "info", "target": f"target{number}"})
    assert "64 targets" in manager.refused("POST", "/log/level", {"level": "info", "target": "another"})
    manager.post("/log/level", {"level": "info", "target": "target5"})
    manager.post("/log/level", {"level": "info"})
    manager.post("/log/level", {"level": "info", "target": "another"})


def test_permits(manager: ManagerProcess) -> None:
    assert manager.ask("GET", "/permits") == (200, {"permits": 8})
    for given, total in ((12, 12), (1, 12), (0, 12), (2, 2), (8, 8)):
        assert manager.post("/permits", {"permits": given}) == {"result": "permits_set", "permits": total}
        assert manager.ask("GET", "/permits") == (200, {"permits": total})


@pytest.mark.parametrize("value", ["4", 4.5, None, True, [], -1, 1 << 70])
def test_permits_that_make_no_sense(manager: ManagerProcess, value: Any) -> None:
    assert manager.refused("POST", "/permits", {"permits": value}).startswith("invalid permits")
    assert manager.ask("GET", "/permits") == (200, {"permits": 8})


def test_variables_of_the_environment(manager: ManagerProcess) -> None:
    assert manager.post("/env", {"key": "SOME_KEY", "value": "x"}) == {"result": "env_var_set", "key": "SOME_KEY"}


@pytest.mark.parametrize(
    "name", ["", "A=B", "A\0", "1A", "Ä", "A B", "x" * 129, "LD_PRELOAD", "ld_library_path", "PYTHONPATH", "PATH"]
)
def test_variables_that_are_refused(manager: ManagerProcess, name: str) -> None:
    assert manager.refused("POST", "/env", {"key": name, "value": "x"}).startswith("invalid env var key")


@pytest.mark.parametrize("value", ["a\0b", "x" * (1 << 17), "\ud800"])
def test_values_that_are_refused(manager: ManagerProcess, value: str) -> None:
    assert manager.refused("POST", "/env", {"key": "K", "value": value}).startswith("invalid env var value")


def test_variables_of_the_wrong_type(manager: ManagerProcess) -> None:
    assert manager.refused("POST", "/env", {"key": 5, "value": "x"}).startswith("invalid env var key: key must be")
    assert manager.refused("POST", "/env", {"key": "K"}).startswith("invalid env var value: value is missing")


def test_programs_can_be_started_whatever_was_set(manager: ManagerProcess) -> None:
    """The operating system refuses to start anything if its variables are too long."""
    for number in range(4):
        manager.post("/env", {"key": f"LONG_{number}", "value": "x" * 16_000})
    for name in ("LONG_0", "ANOTHER"):
        assert "together" in manager.refused("POST", "/env", {"key": name, "value": "x" * 18_000})
    # Words that the pool does not know, so a process of its own is started.
    body = run_body("unix:///nonexistent", extra_args=["--nonsense", *["x" * 120_000] * 4])
    assert "--nonsense" in manager.ended(manager.post("/genvm/run", body)["id"])["stderr"]
    body["extra_args"] += ["x" * 120_000]
    assert "more than a command line takes" in manager.refused("POST", "/genvm/run", body)
    for number in range(4):
        manager.post("/env", {"key": f"LONG_{number}", "value": ""})


# --- versions of contracts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "major"),
    [
        (b'# v0.2.16\n# { "Depends": "py-genlayer:test" }\n', 0),
        (b"# no version\n", 0),
        (b"", 0),
        (b"\x00asm\x01\x00\x00\x00", 0),
        (b"\xff" * 1000, 0),
    ],
)
def test_the_major_of_code(manager: ManagerProcess, code: bytes, major: int) -> None:
    answer = manager.ask("POST", "/contract/detect-version", code, HEADER)
    assert answer == (200, {"specified_major": major})


def test_the_writes_of_a_deployment(manager: ManagerProcess) -> None:
    code = b"# v"
    array = manager.ask("POST", "/contract/pre-deploy-writes?bytes=array", code, HEADER)
    slot = list(bytes.fromhex(CODE_SLOT))
    assert array == (200, {"writes": [[[*slot, 0, 0, 0, 0], [3, 0, 0, 0]], [[*slot, 4, 0, 0, 0], [35, 32, 118]]]})
    texts = manager.ask("POST", "/contract/pre-deploy-writes", code, HEADER)
    assert texts == (
        200,
        {"writes": [[base64.b64encode(bytes(part)).decode() for part in write] for write in array[1]["writes"]]},
    )


def test_writes_of_big_code(manager: ManagerProcess) -> None:
    code = bytes(range(256)) * (1 << 14)
    (_, length), (_, content) = manager.post("/contract/pre-deploy-writes", code, **HEADER)["writes"]
    assert base64.b64decode(length) == len(code).to_bytes(4, "little")
    assert base64.b64decode(content) == code


def test_archives_tell_their_version_too(manager: ManagerProcess) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("version", "v0.2.16")
        archive.writestr("runner.json", "{}")
    assert manager.post("/contract/detect-version", file.getvalue(), **HEADER) == {"specified_major": 0}


@pytest.mark.parametrize("path", ["/contract/detect-version", "/contract/pre-deploy-writes"])
def test_the_header_of_contract_routes(manager: ManagerProcess, path: str) -> None:
    assert "Deployment-Timestamp is missing" in manager.refused("POST", path, b"# v")
    wrong = {"Deployment-Timestamp": "yesterday"}
    assert "not an RFC 3339 date and time" in manager.refused("POST", path, b"# v", wrong)


def test_the_form_of_writes(manager: ManagerProcess) -> None:
    text = manager.refused("POST", "/contract/pre-deploy-writes?bytes=hex", b"# v", HEADER)
    assert text == "bytes must be base64 or array, not 'hex'"


# --- the manifest ---------------------------------------------------------------------------------


def entry(after: str) -> str:
    return f'{{ available_after: "{after}" }}'


def test_the_manifest_is_read_anew(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(f"executor_versions:\n  v0.2.16: {entry('2020-01-01T00:00:00Z')}\n")
    with manager_process(tmp_path, f"--manifest-path={manifest}", config={"idle_executors": 0}) as manager:
        assert manager.post("/contract/detect-version", b"# v1.0.0\n", **HEADER) == {"specified_major": 0}
        manifest.write_text(f"executor_versions:\n  v1.0.0: {entry('2020-01-01T00:00:00Z')}\n")
        assert manager.ask("POST", "/manifest/reload") == (200, {"result": "manifest_reloaded"})
        assert manager.post("/contract/detect-version", b"# v1.0.0\n", **HEADER) == {"specified_major": 1}
        text = manager.refused("POST", "/contract/pre-deploy-writes", b"# v1.0.0\n", HEADER)
        assert text == "only major version 0 is supported for now"
        for broken in ("executor_versions: [", "executor_versions: {v1.0.0: {}}", "{}", "executor_versions: {x: {}}"):
            manifest.write_text(broken)
            assert str(manifest) in manager.refused("POST", "/manifest/reload")
        manifest.unlink()
        assert "No such file" in manager.refused("POST", "/manifest/reload")
        # The one from before holds.
        assert manager.post("/contract/detect-version", b"# v1.0.0\n", **HEADER) == {"specified_major": 1}


# --- what is wrong with requests ------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/nothing", "/genvm", "/genvm/", "/genvm/x", "/genvm/-1", "/genvm/1/2"])
def test_unknown_paths(manager: ManagerProcess, path: str) -> None:
    assert manager.ask("GET", path) == (404, {"error": "Not Found"})
    assert manager.ask("DELETE", path) == (404, {"error": "Not Found"})


@pytest.mark.parametrize("number", ["1.5", "0x1", "٣", "+1", "1 ", "99999999999999999999"])
def test_ids_that_are_no_numbers(manager: ManagerProcess, number: str) -> None:
    assert manager.ask("GET", f"/genvm/{quote(number)}") == (404, {"error": "Not Found"})
    assert manager.ask("DELETE", f"/genvm/{quote(number)}") == (404, {"error": "Not Found"})


def test_ids_that_nobody_knows(manager: ManagerProcess) -> None:
    assert manager.ask("GET", "/genvm/987654") == (200, {"genvm_id": 987654, "status": None})
    unknown = {"error": "GenVM with id 987654 not found", "genvm_id": 987654}
    assert manager.ask("DELETE", "/genvm/987654?wait_timeout_ms=20") == (200, unknown)
    assert manager.ask("DELETE", "/genvm/987654") == (200, unknown)
    for wrong in ("x", "-1", "1.5", ""):
        assert "wait_timeout_ms" in manager.refused("DELETE", f"/genvm/1?wait_timeout_ms={wrong}")


ROUTES = [
    ("GET", "/status"),
    ("POST", "/module/start"),
    ("POST", "/module/stop"),
    ("POST", "/genvm/run"),
    ("POST", "/genvm/run/readonly"),
    ("POST", "/contract/detect-version"),
    ("POST", "/contract/pre-deploy-writes"),
    ("POST", "/log/level"),
    ("POST", "/manifest/reload"),
    ("POST", "/env"),
    ("POST", "/llm/check"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_wrong_methods(manager: ManagerProcess, method: str, path: str) -> None:
    for wrong in {"GET", "POST", "PUT", "DELETE"} - {method}:
        if path.startswith("/genvm/run") and wrong != "PUT":
            continue
        text = manager.refused(wrong, path)
        assert text.startswith(f"method {wrong} is not for this path"), text
        assert method in text


def test_heads_do_not_take_a_status_away(manager: ManagerProcess) -> None:
    run = manager.start("unix:///nonexistent")
    manager.idle()
    with contextlib.closing(manager.connect()) as connection:
        connection.request("HEAD", f"/genvm/{run}")
        assert connection.getresponse().status == 500
    assert manager.status_of(run) is not None


JSON_ROUTES = ["/module/start", "/module/stop", "/genvm/run", "/log/level", "/env", "/permits", "/llm/check"]


@pytest.mark.parametrize("path", JSON_ROUTES)
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff", b'{"a":1,"a":1}', b"[" * 100_000, b"{} {}", b'{"a":NaN}'],
    ids=repr,
)
def test_bodies_that_are_no_json_objects(manager: ManagerProcess, path: str, body: bytes) -> None:
    text = manager.refused("POST", path, body)
    assert text.startswith("the body "), text
    assert len(text) < 300


WRONG: list[Any] = [None, 1, 1.5, True, "x", [], {}]
MEMBERS: dict[str, list[type]] = {
    "major": [int],
    "message": [dict],
    "is_sync": [bool],
    "capture_output": [bool],
    "max_execution_minutes": [int, type(None)],
    "host_data": [str],
    "timestamp": [],
    "host": [str],
    "extra_args": [list, type(None)],
}


@pytest.mark.parametrize("name", MEMBERS)
def test_members_of_the_wrong_type(manager: ManagerProcess, name: str) -> None:
    body = run_body("unix:///nonexistent")
    for value in WRONG:
        if type(value) not in MEMBERS[name]:
            assert name in manager.refused("POST", "/genvm/run", {**body, name: value})
    del body[name]
    if name not in ("max_execution_minutes", "extra_args"):
        assert name in manager.refused("POST", "/genvm/run", body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("major", -1),
        ("major", 1 << 32),
        ("max_execution_minutes", -1),
        ("max_execution_minutes", 1 << 64),
        ("timestamp", "2024-13-01T00:00:00Z"),
        ("host", "a\0b"),
        ("host_data", "\ud800"),
        ("host_data", "x" * (1 << 17)),
        ("message", {"x": "y" * (1 << 17)}),
        ("extra_args", [1]),
        ("extra_args", ["x"] * 100),
        ("extra_args", ["a\0b"]),
    ],
)
def test_values_that_cannot_be(manager: ManagerProcess, name: str, value: Any) -> None:
    text = manager.refused("POST", "/genvm/run", run_body("unix:///nonexistent", **{name: value}))
    assert len(text) < 200


@pytest.fixture
def raw(manager: ManagerProcess) -> Iterator[socket.socket]:
    host, _, port = manager.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        yield connection


def test_bodies_that_are_too_big(manager: ManagerProcess, raw: socket.socket) -> None:
    raw.sendall(b"POST /env HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    part = b"%x\r\n" % (1 << 20) + bytes(1 << 20) + b"\r\n"
    with contextlib.suppress(ConnectionError):
        for _ in range(66):
            raw.sendall(part)
    answer = raw.recv(1 << 16)
    assert b" 500 " in answer
    assert b"the body has more than 67108864 bytes" in answer


@pytest.mark.parametrize(
    "data",
    [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /status HTTP/1.1\r\nHost: x y\r\n\r\n", b"\x16\x03\x01"],
)
def test_what_is_no_http(manager: ManagerProcess, raw: socket.socket, data: bytes) -> None:
    raw.sendall(data)
    raw.shutdown(socket.SHUT_WR)
    answer = b""
    while part := raw.recv(1 << 16):
        answer += part
    assert not answer or answer.split()[1] in (b"400", b"403")
    assert manager.ask("GET", "/health/live") == (200, {"alive": True})


def longest_silence(manager: ManagerProcess, work: Callable[[], None]) -> float:
    """While ``work`` is done: how long an answer took at most."""
    thread = threading.Thread(target=work)
    thread.start()
    longest = 0.0
    while thread.is_alive():
        begun = time.monotonic()
        manager.state()
        longest = max(longest, time.monotonic() - begun)
    return longest


def test_big_bodies_keep_nobody_waiting(manager: ManagerProcess) -> None:
    objects = b'{"a": [%s0]}' % (b'{"a":1},' * ((15 << 20) // 8))
    refused: list[str] = []
    work = partial(manager.refused, "POST", "/permits", objects)
    assert longest_silence(manager, lambda: refused.append(work())) < 1.0
    assert refused == ["invalid permits: permits is missing; it must be a whole number"]
    assert "too much for JSON" in manager.refused("POST", "/permits", b" " * (17 << 20))


@pytest.mark.slow
def test_writes_of_huge_code_keep_nobody_waiting(manager: ManagerProcess) -> None:
    code = b"# v0.2.16\n" + bytes(range(256)) * (16 << 12)
    answers: list[bytes] = []

    def ask() -> None:
        with contextlib.closing(manager.connect()) as connection:
            connection.request("POST", "/contract/pre-deploy-writes?bytes=array", code, HEADER)
            answers.append(connection.getresponse().read())

    assert longest_silence(manager, ask) < 1.0
    assert bytes(json.loads(answers[0])["writes"][1][1]) == code


def test_slow_clients_keep_nobody_waiting(manager: ManagerProcess) -> None:
    host, _, port = manager.address.rpartition(":")
    with contextlib.ExitStack() as stack:
        for number in range(100):
            slow = stack.enter_context(socket.create_connection((host, int(port))))
            slow.sendall((b"POST /env HTTP/1.1\r\nContent-Length: 10\r\n\r\nx", b"GET /sta")[number % 2])
        begun = time.monotonic()
        manager.state()
        assert time.monotonic() - begun < 5
    files = manager.open_files
    until(lambda: files() < 60, "connections of clients that have left stay open")


def test_pages_of_others_may_ask_nothing(manager: ManagerProcess) -> None:
    assert manager.ask("GET", "/status", headers={"Origin": "https://example.com"})[0] == 403
    assert manager.ask("GET", "/status", headers={"Host": "example.com"})[0] == 403
    assert manager.ask("GET", "/status", headers={"Host": "localhost:1"})[0] == 200
    for malformed in ("http://[", "null", "", "\xff"):
        assert manager.ask("GET", "/status", headers={"Origin": malformed})[0] == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_images_of_others_take_no_status_away(manager: ManagerProcess, site: str) -> None:
    """They come without ``Origin``; links to the page itself are welcome."""
    assert manager.ask("GET", "/genvm/1", headers={"Sec-Fetch-Site": site})[0] == 403
    assert manager.ask("GET", "/genvm/1", headers={"Sec-Fetch-Site": "same-origin"})[0] == 200
    assert manager.ask("GET", "/health/live", headers={"Sec-Fetch-Site": site})[0] == 200


def test_bodies_that_are_not_what_their_headers_say(manager: ManagerProcess) -> None:
    headers = {"Content-Encoding": "gzip"}
    assert manager.refused("POST", "/env", b"no gzip", headers).startswith("the body cannot be read: ")


def test_bodies_of_all_requests_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODIES_BYTES", 1 << 20)
    head = b"POST /env HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n"
    with live_manager(tmp_path) as live, contextlib.ExitStack() as stack:
        bodies = live.app[BODIES]
        host, _, port = live.url.removeprefix("http://").rpartition(":")
        first, second = (stack.enter_context(socket.create_connection((host, int(port)), 30)) for _ in range(2))
        first.sendall(head + bytes(1 << 19))
        until(lambda: bodies.held == 1 << 19, "it was not read")
        second.sendall(head + bytes((1 << 19) + 1))
        assert b"requests take 1048576 bytes already" in second.recv(1 << 16)
        first.close()
        until(lambda: bodies.held == 0, "bodies of requests that have ended are counted")
