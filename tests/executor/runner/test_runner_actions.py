"""The driver of runner.json actions, against a builder that records what it is told (spec executor/07, 08)."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pygenvm.executor import limits
from pygenvm.executor.outcome import InstallationFault, InternalErrorRaised, InvalidContract, OutOfMemory, VMErrorRaised
from pygenvm.executor.runner import actions
from pygenvm.executor.runner.actions import DerivedFiles, PathAndContent, Source, run_actions
from pygenvm.executor.runner.archive import Archive, FileContent, Folder
from pygenvm.executor.runner.ids import RunnerId

Event = tuple[Any, ...]


class Recorder:
    """A VM that only writes down."""

    def __init__(self, deterministic: bool = True, ram: int = 1 << 32) -> None:
        self.deterministic = deterministic
        self.ram = ram
        self.events: list[Event] = []

    def charge(self, amount: int) -> None:
        self.ram -= amount
        if self.ram < 0:
            raise OutOfMemory("recorder")
        self.events.append(("charge", amount))

    def map_file(self, path: str, content: bytes | memoryview) -> None:
        if ("map", path) in [event[:2] for event in self.events]:
            raise InvalidContract(f"{path} is taken")
        self.events.append(("map", path, bytes(content)))

    def map_folder(self, to: str, folder: Folder) -> None:
        for name, content in folder.entries:
            self.map_file(to + name, content)

    def is_free(self, path: str) -> bool:
        return ("map", path) not in [event[:2] for event in self.events]

    def derive(self, by: str, files: Sequence[PathAndContent]) -> DerivedFiles:
        self.events.append(("derive", by, [(path, bytes(content)) for path, content in files]))
        return {f"{path}.made": bytes(content)[::-1] for path, content in files if path.endswith("y")}

    def append_args(self, args: list[str]) -> None:
        self.events.append(("args", args))

    def link_wasm(self, archive: Archive, name: str) -> None:
        self.events.append(("link", archive.id, name))

    def start_wasm(self, archive: Archive, name: str, env: dict[str, str], source: Source) -> None:
        self.events.append(("start", archive.id, name, env))

    def steps(self) -> list[Event]:
        return [event for event in self.events if event[0] != "charge"]

    def charges(self) -> list[int]:
        return [event[1] for event in self.events if event[0] == "charge"]


class Shelf:
    """Runners by name; the hash `alias` means the hash `h`."""

    def __init__(self, **runners: Archive) -> None:
        self.runners = {f"{name}:h": archive for name, archive in runners.items()}

    def resolve(self, reference: str) -> str:
        runner = RunnerId.parse(reference)
        resolved = f"{runner.name}:h"
        if runner.hash not in ("h", "alias") or resolved not in self.runners:
            raise InvalidContract(f"unknown runner {reference}")
        return resolved

    def load(self, resolved: str) -> Archive:
        return self.runners[resolved]


def archive(name: str, action: Any, size: int = 0, files: Mapping[str, FileContent] | None = None) -> Archive:
    return Archive(name, {"runner.json": json.dumps(action).encode(), "m": b"wasm", **(files or {})}, size)


def run(
    action: Any,
    shelf: Shelf | None = None,
    builder: Recorder | None = None,
    files: dict[str, bytes] | None = None,
) -> list[Event]:
    builder = builder or Recorder()
    run_actions(archive("on_chain:0x", action, 7, files), builder, shelf or Shelf(), lambda: None)
    return builder.steps()


def fails(action: Any, shelf: Shelf | None = None, files: dict[str, bytes] | None = None) -> str:
    """The cause of the `invalid_contract`; nothing was started."""
    builder = Recorder()
    with pytest.raises(InvalidContract) as error:
        run(action, shelf, builder, files)
    assert error.value.error.message == "invalid_contract"
    assert not [event for event in builder.events if event[0] == "start"]
    return error.value.error.cause


START = {"StartWasm": "m"}
STARTED: Event = ("start", "on_chain:0x", "m", {})


def seq(*steps: Any) -> Any:
    return {"Seq": list(steps)}


def env(name: str, val: str) -> Any:
    return {"AddEnv": {"name": name, "val": val}}


def map_file(file: str, to: str) -> Any:
    return {"MapFile": {"to": to, "file": file}}


def with_(runner: str, action: Any) -> Any:
    return {"With": {"runner": runner, "action": action}}


# --- MapDerived ---------------------------------------------------------------------------------------


def derived(file: str, to: str, *before: Any) -> Recorder:
    """A contract with files whose (installed) runner maps what `maker` makes of them."""
    action = with_("<contract>", {"MapDerived": {"to": to, "file": file, "by": "maker:alias"}})
    runner = Archive("r", {"runner.json": json.dumps(seq(action, {"StartWasm": "m"})).encode(), "m": b""}, 0, "state")
    builder = Recorder()
    contract = archive("c", seq(*before, {"Depends": "r:h"}), 7, {"d/x.py": b"1", "d/y": b"23", "d/z": b"4"})
    run_actions(contract, builder, Shelf(r=runner, maker=archive("maker", START, 99)), lambda: None)
    return builder


def test_what_is_derived_from_a_folder_is_charged_and_mapped() -> None:
    builder = derived("d/", "/t")
    assert builder.steps() == [
        ("derive", "maker:h", [("/t/x.py", b"1"), ("/t/y", b"23"), ("/t/z", b"4")]),
        ("map", "/t/x.py.made", b"1"),
        ("map", "/t/y.made", b"32"),
        ("start", "r", "m", {}),
    ]
    # the contract, its runner, the contract for With, and what was made; not the maker
    assert builder.charges() == [7, 0, 7, 3]


def test_what_is_derived_from_a_file() -> None:
    assert derived("d/y", "/y").steps()[:2] == [("derive", "maker:h", [("/y", b"23")]), ("map", "/y.made", b"32")]
    with pytest.raises(InvalidContract, match="no file"):
        derived("nothing", "/y")


def test_derived_files_give_way_to_mapped_ones() -> None:
    assert derived("d/y", "/y", map_file("m", "/y.made")).steps() == [
        ("map", "/y.made", b"wasm"),
        ("derive", "maker:h", [("/y", b"23")]),
        ("start", "r", "m", {}),
    ]


# --- WhenMentions -------------------------------------------------------------------------------------


def mentioned(file: str, names: list[str], files: Mapping[str, FileContent]) -> bool:
    """Whether an installed runner's action is run, that asks for the names in a contract's files."""
    asks = {"WhenMentions": {"file": file, "names": names, "action": {"SetArgs": ["mentioned"]}}}
    runner = Archive("r", {"runner.json": json.dumps(seq(asks, START)).encode(), "m": b""}, 0, "state")
    builder = Recorder()
    contract = archive("c", {"Depends": "r:h"}, 7, files)
    run_actions(contract, builder, Shelf(r=runner), lambda: None)
    # Looking costs nothing, and the current archive stays the runner.
    assert builder.charges() == [7, 0]
    assert builder.steps()[-1] == ("start", "r", "m", {})
    return ("args", ["mentioned"]) in builder.steps()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"import numpy as np", True),
        (b"from numpy.linalg import inv", True),
        (b"# numpy", True),
        (b'importlib.import_module("numpy")', True),
        (b"from PIL import Image", True),
        (b"import numpy_financial", False),
        (b"import mynumpy", False),
        (b"import num\npy", False),
        ("# numpyé".encode(), True),
        (b"\xff\x00numpy\x00", True),
        (b"NUMPY = 1", False),
        (b"aXbPIL", False),
        (b"", False),
    ],
)
def test_mentions_are_words_of_the_bytes(text: bytes, expected: bool) -> None:
    assert mentioned("file", ["numpy", "PIL"], {"file": text}) is expected
    folder = {"contract/a/b.py": text, "contract/notes.txt": b"numpy", "other.py": b"numpy", "runner.json.py": b"PIL"}
    assert mentioned("contract/", ["numpy", "PIL"], folder) is expected
    # As zip archives have them.
    assert mentioned("file", ["numpy", "PIL"], {"file": memoryview(text)}) is expected


def test_names_are_no_patterns() -> None:
    assert not mentioned("file", ["a.c"], {"file": b"abc"})
    assert mentioned("file", ["a.c"], {"file": b"a.c"})


def test_a_file_that_is_looked_at_must_exist() -> None:
    with pytest.raises(InvalidContract, match="no file"):
        mentioned("file", ["a"], {})
    assert not mentioned("nothing/", ["a"], {})


def test_what_an_installed_runner_names_and_is_not_there() -> None:
    """No verdict on the contract: other machines have it."""
    for action in ({"Depends": "gone:h"}, with_("gone:h", {"SetArgs": []})):
        runner = Archive("r", {"runner.json": json.dumps(action).encode()}, 0, "state")
        with pytest.raises(InstallationFault, match=r"r: .*gone:h"):
            run({"Depends": "r:h"}, Shelf(r=runner))
        fails(action)


# --- StartWasm --------------------------------------------------------------------------------------


def test_start() -> None:
    assert run(START) == [STARTED]


def test_nothing_runs_after_the_first_start() -> None:
    inner = seq({"SetArgs": ["1"]}, seq({"When": {"cond": "det", "action": seq(START, {"SetArgs": ["2"]})}}), START)
    assert run(seq(inner, {"SetArgs": ["3"]}, START)) == [("args", ["1"]), STARTED]


def test_start_inside_a_dependency_ends_everything() -> None:
    shelf = Shelf(a=archive("a:h", seq(START, {"SetArgs": ["never"]})))
    assert run(seq({"Depends": "a:h"}, {"SetArgs": ["never"]}, START), shelf) == [("start", "a:h", "m", {})]
    assert run(seq(with_("a:h", START), START), shelf) == [("start", "a:h", "m", {})]


@pytest.mark.parametrize("action", [seq(), {"SetArgs": ["x"]}, {"When": {"cond": "nondet", "action": START}}])
def test_no_start_is_an_internal_error(action: Any) -> None:
    with pytest.raises(InternalErrorRaised, match="StartWasm"):
        run(action)


def test_files_of_modules_must_exist() -> None:
    assert "'nope'" in fails({"StartWasm": "nope"})
    assert "'nope'" in fails({"LinkWasm": "nope"})
    shelf = Shelf(a=archive("a:h", seq()))
    assert "a:h has no file 'own'" in fails(with_("a:h", {"StartWasm": "own"}), shelf, files={"own": b"1"})


def test_runner_json_of_the_contract_must_exist() -> None:
    with pytest.raises(InvalidContract, match=r"on_chain has no file 'runner\.json'"):
        run_actions(Archive("on_chain", {}, 0), Recorder(), Shelf(), lambda: None)


# --- order, modes, arguments ------------------------------------------------------------------------


def test_depth_first_in_order() -> None:
    shelf = Shelf(
        a=archive("a:h", seq({"SetArgs": ["a1"]}, {"Depends": "b:h"}, {"SetArgs": ["a2"]})),
        b=archive("b:h", {"LinkWasm": "m"}),
    )
    assert run(seq({"SetArgs": ["0"]}, {"Depends": "a:h"}, {"SetArgs": ["1", "2"]}, START), shelf) == [
        ("args", ["0"]),
        ("args", ["a1"]),
        ("link", "b:h", "m"),
        ("args", ["a2"]),
        ("args", ["1", "2"]),
        STARTED,
    ]


@pytest.mark.parametrize("deterministic", [True, False])
def test_when(deterministic: bool) -> None:
    action = seq(
        {"When": {"cond": "det", "action": {"SetArgs": ["det"]}}},
        {"When": {"cond": "nondet", "action": {"SetArgs": ["nondet"]}}},
        START,
    )
    expected = ("args", ["det" if deterministic else "nondet"])
    assert run(action, builder=Recorder(deterministic)) == [expected, STARTED]


def test_interruption_is_looked_for_before_each_action() -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise VMErrorRaised("timeout")

    builder = Recorder()
    with pytest.raises(VMErrorRaised, match="timeout"):
        run_actions(archive("c", seq({"SetArgs": ["1"]}, START)), builder, Shelf(), check)
    assert builder.steps() == [("args", ["1"])]


# --- Depends and With -------------------------------------------------------------------------------


def test_depends_runs_once_per_resolved_id() -> None:
    shelf = Shelf(a=archive("a:h", {"SetArgs": ["a"]}), b=archive("b:h", {"Depends": "a:h"}))
    action = seq({"Depends": "a:h"}, {"Depends": "a:alias"}, {"Depends": "b:h"}, START)
    assert run(action, shelf) == [("args", ["a"]), STARTED]


def test_depends_cycle_ends() -> None:
    shelf = Shelf(
        a=archive("a:h", seq({"Depends": "b:h"}, {"SetArgs": ["a"]})),
        b=archive("b:h", seq({"Depends": "a:h"}, {"SetArgs": ["b"]})),
    )
    assert run(seq({"Depends": "a:h"}, START), shelf) == [("args", ["b"]), ("args", ["a"]), STARTED]


def test_each_vm_has_its_own_visited_set() -> None:
    shelf = Shelf(a=archive("a:h", {"SetArgs": ["a"]}))
    for _ in range(2):
        assert run(seq({"Depends": "a:h"}, START), shelf) == [("args", ["a"]), STARTED]


def test_a_long_chain_of_runners() -> None:
    shelf = Shelf(**{f"r{n}": archive(f"r{n}:h", {"Depends": f"r{n + 1}:h"}) for n in range(3000)})
    shelf.runners["r3000:h"] = archive("r3000:h", START)
    assert run({"Depends": "r0:h"}, shelf) == [("start", "r3000:h", "m", {})]


def test_with_has_no_once_only_rule_and_runs_no_runner_json() -> None:
    shelf = Shelf(a=archive("a:h", {"SetArgs": ["never"]}))
    action = seq(with_("a:h", {"LinkWasm": "m"}), with_("a:h", {"LinkWasm": "m"}), START)
    assert run(action, shelf) == [("link", "a:h", "m"), ("link", "a:h", "m"), STARTED]


def test_with_does_not_count_as_a_visit() -> None:
    shelf = Shelf(a=archive("a:h", {"SetArgs": ["a"]}))
    assert run(seq(with_("a:h", seq()), {"Depends": "a:h"}, START), shelf) == [("args", ["a"]), STARTED]


def test_contract_as_current_runner() -> None:
    shelf = Shelf(a=archive("a:h", seq(with_("<contract>", map_file("file", "/contract.py")), START)))
    assert run({"Depends": "a:h"}, shelf, files={"file": b"code"}) == [
        ("map", "/contract.py", b"code"),
        ("start", "a:h", "m", {}),
    ]


def test_current_runner_is_restored_after_with() -> None:
    shelf = Shelf(a=archive("a:h", seq()))
    assert run(seq(with_("a:h", {"LinkWasm": "m"}), {"LinkWasm": "m"}, START), shelf) == [
        ("link", "a:h", "m"),
        ("link", "on_chain:0x", "m"),
        STARTED,
    ]


@pytest.mark.parametrize("reference", ["", "a", "a:other", "nope:h", "on_chain:0x" + "00" * 20])
def test_unknown_runners(reference: str) -> None:
    shelf = Shelf(a=archive("a:h", seq()))
    fails(seq({"Depends": reference}, START), shelf)
    fails(seq(with_(reference, seq()), START), shelf)


def test_contract_is_only_a_reference_of_with() -> None:
    fails(seq({"Depends": "<contract>"}, START))


def test_broken_runner_json_of_a_dependency() -> None:
    shelf = Shelf(a=archive("a:h", {"Nope": 1}), b=Archive("b:h", {}, 0))
    assert fails(seq({"Depends": "a:h"}, START), shelf) == "runner.json of a:h: unknown action 'Nope'"
    assert fails(seq({"Depends": "b:h"}, START), shelf) == "b:h has no file 'runner.json'"
    # Only its own runner.json is broken, and With does not need that.
    assert run(with_("a:h", START), shelf) == [("start", "a:h", "m", {})]


# --- MapFile ----------------------------------------------------------------------------------------


def test_map_one_file() -> None:
    assert run(seq(map_file("file", "contract.py"), START), files={"file": b"1"}) == [
        ("map", "contract.py", b"1"),
        STARTED,
    ]
    assert "'nope'" in fails(seq(map_file("nope", "/x"), START))
    assert "''" in fails(seq(map_file("", "/x"), START))


@pytest.mark.parametrize("to", ["/py/libs", "/py/libs/"])
def test_map_directory(to: str) -> None:
    files = {"src/a.py": b"a", "src/b/c.py": b"c", "src": b"no", "srcs/d.py": b"no"}
    assert run(seq(map_file("src/", to), START), files=files) == [
        ("map", "/py/libs/a.py", b"a"),
        ("map", "/py/libs/b/c.py", b"c"),
        STARTED,
    ]


@pytest.mark.parametrize(("to", "prefix"), [("/", "/"), ("", "/"), ("/x", "/x/"), ("x//", "x//")])
def test_map_everything(to: str, prefix: str) -> None:
    paths = [event[1] for event in run(seq(map_file("/", to), START), files={"a/b": b"1"})[:-1]]
    assert paths == [prefix + "runner.json", prefix + "m", prefix + "a/b"]


def test_a_directory_without_files_is_no_error() -> None:
    assert run(seq(map_file("nope/", "/x"), START)) == [STARTED]


def test_directories_of_a_zip_are_no_files() -> None:
    files = {"d/": b"", "d/e/": b"", "d/e/f": b"1"}
    assert run(seq(map_file("d/", "/d"), START), files=files) == [("map", "/d/e/f", b"1"), STARTED]


def test_repeated_mapping_fails_in_the_builder() -> None:
    assert fails(seq(map_file("m", "/x"), map_file("m", "/x"), START)) == "/x is taken"


def test_length_of_targets_is_limited() -> None:
    longest = "é" * (limits.MAPPED_PATH_BYTES_MAX // 2)
    assert run(seq(map_file("m", longest), START)) == [("map", longest, b"wasm"), STARTED]
    for path in (longest + "x", "x" * 5000):
        assert "4096 bytes" in fails(seq(map_file("m", path), START))


def test_names_of_all_targets_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MAPPED_PATH_NAMES_MAX", 5)
    assert len(run(seq(map_file("m", "a/b"), map_file("m", "a/c/d"), START))) == 3
    assert "5 names" in fails(seq(map_file("m", "a/b"), map_file("m", "a/c/d"), map_file("m", "e"), START))


# --- AddEnv and SetArgs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("a", "1"), ("b", "${a}${a}-${a}")], {"a": "1", "b": "11-1"}),
        ([("a", "1"), ("a", "${a}:2")], {"a": "1:2"}),
        ([("a", "${ENV[PATH]}x")], {"a": "x"}),
        ([("a", "${ENV[]}x")], {"a": "x"}),
        ([("ENV[x]", "1"), ("x", "2"), ("a", "${ENV[x]}${x}")], {"ENV[x]": "1", "x": "2", "a": "12"}),
        ([("a", "${b"), ("c", "$a ${a-b} ${a b} ${} }"[:15])], {"a": "${b", "c": "$a ${a-b} ${a b"}),
        ([("", "1"), ("a", "${}")], {"": "1", "a": "1"}),
        ([("a", "${"), ("b", "${a}a}"), ("c", "${b}")], {"a": "${", "b": "${a}", "c": "${a}"}),
        ([("a", "${ENV[x}${ENV[a-b]}${é}$$")], {"a": "${ENV[x}${ENV[a-b]}${é}$$"}),
        ([("a", "1"), ("b", "$${a}")], {"a": "1", "b": "$1"}),
    ],
)
def test_environment(steps: list[tuple[str, str]], expected: dict[str, str]) -> None:
    assert run(seq(*(env(*step) for step in steps), START)) == [("start", "on_chain:0x", "m", expected)]


@pytest.mark.parametrize("template", ["${x}", "${}", "${a}${A}"])
def test_unknown_variable(template: str) -> None:
    assert "unknown variable" in fails(seq(env("a", "1"), env("b", template), START))


def test_environment_is_shared_by_all_runners() -> None:
    shelf = Shelf(a=archive("a:h", seq(env("x", "${x}2"), START)))
    assert run(seq(env("x", "1"), {"Depends": "a:h"}), shelf) == [("start", "a:h", "m", {"x": "12"})]


def test_environment_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    doubling = [env("a", "x" * 1024)] + [env("a", "${a}${a}")] * 60
    assert "1048576 bytes" in fails(seq(*doubling, START))
    # Each entry is counted as name=value and one byte of end.
    monkeypatch.setattr(actions, "ENVIRONMENT_BYTES_MAX", 20)
    filled = [env("a", "1234567")] * 3 + [env("bc", "123456")]
    assert run(seq(*filled, START))[0][3] == {"a": "1234567", "bc": "123456"}
    assert "20 bytes" in fails(seq(*filled, env("bc", "1234567"), START))
    assert "20 bytes" in fails(seq(*filled, env("", ""), START))
    assert "20 bytes" in fails(seq(env("a", "ééééééééé"), START))
    assert "20 bytes" in fails(seq(env("a", "1234567"), env("b", "${a}" * 3), START))


def test_a_long_value_is_refused_before_it_is_built() -> None:
    action = seq(env("a", "x" * 32_768), env("b", "${a}" * 5_000), START)
    contract = archive("c", action)
    _ = contract.action
    tracemalloc.start()
    try:
        with pytest.raises(InvalidContract, match="1048576 bytes"):
            run_actions(contract, Recorder(), Shelf(), lambda: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_arguments_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.ARGUMENTS_BYTES_MAX == 1 << 20
    monkeypatch.setattr(actions, "ARGUMENTS_BYTES_MAX", 10)
    most = [{"SetArgs": ["123", ""]}, {"SetArgs": ["éé"]}]
    assert len(run(seq(*most, START))) == 3
    assert "10 bytes" in fails(seq(*most, {"SetArgs": [""]}, START))


# --- RAM --------------------------------------------------------------------------------------------


def test_every_use_of_an_archive_is_charged() -> None:
    shelf = Shelf(a=archive("a:h", seq(with_("<contract>", seq())), 100), b=archive("b:h", seq(), 20))
    builder = Recorder()
    steps = [{"Depends": "a:h"}, {"Depends": "a:alias"}, with_("b:h", seq()), with_("b:h", seq()), {"Depends": "b:h"}]
    run(seq(*steps, START), shelf, builder)
    assert builder.charges() == [7, 100, 7, 20, 20, 20]


def test_contract_is_charged_before_its_runner_json_is_read() -> None:
    with pytest.raises(OutOfMemory) as error:
        run({"Nope": 1}, builder=Recorder(ram=6))
    assert error.value.error.message == "OOM"


def test_out_of_memory_keeps_its_name() -> None:
    shelf = Shelf(a=archive("a:h", {"Nope": 1}, 100))
    for action in ({"Depends": "a:h"}, with_("a:h", START)):
        with pytest.raises(OutOfMemory):
            run(action, shelf, Recorder(ram=106))
