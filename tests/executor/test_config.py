"""The configuration file and the cache folder (spec executor/10)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pygenvm.executor import config
from pygenvm.executor.config import PACKAGES_OF_RUNNERS, Config, ConfigError, cache_root, load_config
from tests.support.paths import ROOT

SHIPPED = """\
modules:
  llm: {address: ws://127.0.0.1:3031}
  web: {address: "ws://127.0.0.1:3032"}
threads: 2
blocking_threads: 4
log_level: info
log_disable: "tracing*,polling*,tungstenite*"
cache_dir: ${exeDir}/../.cache/
runners_dir: ${exeDir}/../../../runners/
registry_dir: ${exeDir}/../data
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation whose program is ``executor/v1/bin/genvm``."""
    (tmp_path / "executor" / "v1" / "bin").mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "executor" / "v1" / "bin" / "genvm")])
    monkeypatch.setenv("PYGENVM_CACHE", str(tmp_path / "cache"))
    return tmp_path


def load(root: Path, text: str) -> Config:
    path = root / "genvm.yaml"
    path.write_text(text)
    return load_config(str(path))


def test_shipped_file(root: Path) -> None:
    loaded = load(root, SHIPPED)
    assert loaded.llm_address == "ws://127.0.0.1:3031"
    assert loaded.web_address == "ws://127.0.0.1:3032"
    assert (loaded.threads, loaded.blocking_threads, loaded.log_level) == (2, 4, "info")
    assert loaded.log_disable == ("tracing*", "polling*", "tungstenite*")
    assert Path(loaded.cache_dir).resolve() == root / "executor" / "v1" / ".cache"
    assert Path(loaded.runners_dir).resolve() == root / "runners"
    assert Path(loaded.registry_dir).resolve() == root / "executor" / "v1" / "data"


def test_json_is_read_like_yaml_and_without_its_library(root: Path) -> None:
    document = yaml.safe_load(SHIPPED)
    assert load(root, json.dumps(document, indent=2)) == load(root, SHIPPED)
    # What only looks like JSON is YAML.
    flow = "{threads: 1, blocking_threads: 1, log_disable: ''}"
    assert load(root, flow).threads == 1
    with pytest.raises(ConfigError, match="a repeated key 'threads', line 1, column 16"):
        load(root, '{"threads": 1, "threads": 2, "blocking_threads": 1, "log_disable": ""}')
    path = root / "genvm.yaml"
    path.write_text(json.dumps(document))
    program = f"""
import sys
from pygenvm.executor.config import load_config
assert load_config({str(path)!r}).threads == 2
assert "yaml" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_modules_that_the_file_names(root: Path) -> None:
    minimal = "threads: 1\nblocking_threads: 1\nlog_disable: ''\n"
    assert load_config().modules_named == frozenset()
    assert load(root, minimal).modules_named == frozenset()
    assert load(root, minimal + "modules: {web: {address: 'ws://a:1'}, llm: {}}\n").modules_named == {"web"}
    assert load(root, SHIPPED).modules_named == {"web", "llm"}


def test_built_in(root: Path) -> None:
    cache = root / "cache"
    assert load_config() == Config(f"{cache}/runners", f"{cache}/registry", f"{cache}/executor")
    assert load_config().log_disable == ()


def test_file_beside_the_program(root: Path) -> None:
    (root / "executor" / "v1" / "config").mkdir()
    (root / "executor" / "v1" / "config" / "genvm.yaml").write_text(SHIPPED.replace("threads: 2", "threads: 7"))
    assert load_config().threads == 7


def test_a_linked_program_finds_the_file_beside_the_link(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "real").write_text("")
    (root / "executor" / "v1" / "bin" / "genvm").symlink_to(root / "real")
    assert config.executable_dir() == root / "executor" / "v1" / "bin"


def test_only_what_the_specification_requires(root: Path) -> None:
    minimal = "threads: 1\nblocking_threads: 1\nlog_disable: ''\nunknown: {key: [1, 2.5, null]}\n"
    loaded = load(root, minimal)
    assert Path(loaded.runners_dir).resolve() == root / "runners"
    assert loaded.llm_address == "ws://127.0.0.1:3031"
    assert load(root, minimal + "log_level: WARNING\n").log_level == "warn"


def test_variables(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import version

    monkeypatch.setenv("SOME_DIR", "/some/where")
    monkeypatch.delenv("UNSET_DIR", raising=False)
    loaded = load(
        root,
        SHIPPED.replace("${exeDir}/../data", "'${ENV[SOME_DIR]}/${ENV[UNSET_DIR]}x'").replace(
            "${exeDir}/../.cache/", "/c/${genvmVersion}/$x${"
        ),
    )
    assert loaded.registry_dir == "/some/where/x"
    assert loaded.cache_dir == f"/c/v{version('pygenvm')}/$x${{"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file must hold a mapping"),
        ("- 1", "the file must hold a mapping"),
        ("a: [", "not YAML"),
        ("\x00", "not YAML"),
        (SHIPPED + "threads: 3\n", "a repeated key 'threads', line 11, column 1"),
        (SHIPPED + "x: &a [1]\ny: *a\n", "aliases are not supported"),
        (SHIPPED + "x: " + "[" * 40 + "]" * 40, "nested more than 32 levels deep"),
        (SHIPPED.replace("threads: 2\nb", "b"), "threads is missing"),
        (SHIPPED.replace("blocking_threads: 4\n", ""), "blocking_threads is missing"),
        (SHIPPED.replace("threads: 2", "threads: two"), "threads must be a whole number"),
        (SHIPPED.replace("threads: 2", "threads: true"), "threads must be a whole number"),
        (SHIPPED.replace("threads: 2", "threads: 0"), "threads must be positive"),
        (SHIPPED.replace("log_disable", "log_disabled"), "log_disable is missing"),
        (SHIPPED.replace("log_level: info", "log_level: loud"), "log_level 'loud' is none of"),
        (SHIPPED.replace("log_level: info", "log_level: 3"), "log_level must be a string"),
        (SHIPPED.replace("${exeDir}/../data", "[a]"), "registry_dir must be a string"),
        (SHIPPED.replace("{address: ws://127.0.0.1:3031}", "x"), "llm must be a mapping"),
        (SHIPPED.replace("{exeDir}/../data", "{exedir}/../data"), r"unknown variable ${exedir}"),
        (SHIPPED + "x: ['${ENV[]}']", r"unknown variable ${ENV[]}"),
        (SHIPPED + "x: !!bool abc", "a value that is no bool, line 11, column 4"),
        (SHIPPED + "x: 2001-13-45", "a value that is no timestamp"),
        (SHIPPED + "x: !!timestamp abc", "a value that is no timestamp"),
        (SHIPPED + "x: !!int ''", "a value that is no int"),
        (SHIPPED + "x: !!float abc", "a value that is no float"),
        (SHIPPED + "x: !!python/object:os.system y", "not YAML, line 11, column 4: could not determine a constructor"),
        (SHIPPED + 'x: !<"%1b[31m> 1', "not YAML"),
        (SHIPPED.replace("${exeDir}/../data", '"a\\0b"'), "registry_dir cannot be the name of a folder"),
        (SHIPPED.replace("${exeDir}/../.cache/", '"\\ud800"'), "cache_dir cannot be the name of a folder"),
        (SHIPPED.replace("log_level: info", 'log_level: "\\e[31m\\n"'), "is none of"),
        (SHIPPED + 'x: "${\\e[31m\\nError: fine}"', r"unknown variable ${\x1b[31m Error: fine}"),
    ],
)
def test_refusals(root: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(root, text)
    assert str(caught.value).startswith(f"{root / 'genvm.yaml'}: ")
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_numbers_that_take_a_minute(root: Path) -> None:
    """YAML counts in sixties too, in time that grows with the square of the length."""
    for number in ("9" * 5000, "1" + ":00" * 300_000):
        with pytest.raises(ConfigError, match=f"a value of {len(number)} characters for a int"):
            load(root, f"{SHIPPED}x: {number}")


def test_absent_and_oversized_files(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing.yaml: No such file or directory"):
        load_config(str(root / "nothing.yaml"))
    with pytest.raises(ConfigError, match="more than 1048576 bytes"):
        load(root, "#" * (1 << 20) + "\n")


def test_cache_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("PYGENVM_CACHE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_root() == tmp_path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYGENVM_CACHE", "relative")
    assert cache_root() == tmp_path / "relative"
    monkeypatch.setenv("PYGENVM_CACHE", "")
    assert cache_root() == Path("/xdg/pygenvm")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_root() == Path("/home/somebody/.cache/pygenvm")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path("/home/somebody/.cache/pygenvm")
    monkeypatch.setenv("HOME", "relative")
    with pytest.raises(ConfigError, match="PYGENVM_CACHE"):
        cache_root()


def test_yaml_is_not_imported_without_a_file(tmp_path: Path) -> None:
    program = "import sys; from pygenvm.executor.config import load_config; load_config(); print('yaml' in sys.modules)"
    environment = {"PYGENVM_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "False\n"


def test_packages_of_runners_are_found_and_not_imported(tmp_path: Path) -> None:
    for name in PACKAGES_OF_RUNNERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise AssertionError")
    program = (
        "import sys; from pygenvm.executor.config import load_config; before = set(sys.modules);"
        "print(load_config().packaged_runners, set(sys.modules) - before)"
    )
    environment = {"PYGENVM_CACHE": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == f"{tuple(str(tmp_path / name) for name in PACKAGES_OF_RUNNERS)} set()\n"


def test_packages_of_runners_in_a_file(root: Path) -> None:
    assert load(root, SHIPPED).packaged_runners == ()
    loaded = load(root, SHIPPED + "packaged_runners: ['/a', '${exeDir}/b']\n")
    assert loaded.packaged_runners[0] == "/a"
    assert loaded.packaged_modules == [f"{folder}/compiled" for folder in loaded.packaged_runners]
    cases = {"/a": "must be a list", "[1]": "must be a list of strings", '["\\0"]': "cannot be the name"}
    for text, message in cases.items():
        with pytest.raises(ConfigError, match=f"packaged_runners {message}"):
            load(root, SHIPPED + f"packaged_runners: {text}\n")
