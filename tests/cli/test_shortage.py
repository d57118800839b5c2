"""Commands that may open few files: one line that says what to do, and the exit code for what did not work."""

from __future__ import annotations

import errno
import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pygenvm.executor import shortage
from tests.support.execution import config_file, execute_process, wat

#: Python itself does not start with fewer.
FEW = (5, 6, 7, 8, 9, 12, 16)
#: What the interpreter and the loader say where they cannot begin.
NOT_STARTED = re.compile("error while loading shared libraries|Fatal Python error|init_")
ADVICE = "this process may have no more than {} files open: allow more with `ulimit -n 1024`"

DEPLOY = ("local", "deploy", "module.wasm")
COMMANDS = {
    "deploy --json": ((*DEPLOY, "--json"), 3),
    "schema of a file": (("local", "schema", "module.wasm"), 3),
    "accounts": (("local", "accounts"), 3),
    "log --json": (("local", "log", "--json"), 3),
    "replay": (("replay", "record"), 3),
    "precompile": (("precompile",), 1),
    "runners list": (("runners", "list", "--json"), 1),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a contract, a deployed one, a record, and a configuration without runners."""
    folder = tmp_path_factory.mktemp("few")
    code = wat('(module (memory (export "memory") 1) (func (export "_start")))')
    (folder / "module.wasm").write_bytes(code)
    (folder / "contract.py").write_bytes(b"# v0.2.16\n")
    config_file(folder)
    assert execute_process(code, "--record", str(folder / "record")).exit_code == 0
    assert genvm(folder, *DEPLOY).returncode == 0
    return folder


def genvm(folder: Path, *arguments: str, files: int | None = None) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    return subprocess.run(
        [sys.executable, "-m", "pygenvm.cli.main", "--config", "genvm.yaml", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=limit,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_few_files(folder: Path, name: str) -> None:
    words, failed = COMMANDS[name]
    expected = {genvm(folder, *words).returncode, failed}
    for files in FEW:
        done = genvm(folder, *words, files=files)
        if NOT_STARTED.search(done.stderr):
            continue
        assert "Traceback" not in done.stderr, (files, done)
        assert "Exception ignored" not in done.stderr, (files, done)
        assert done.returncode in expected, (files, done)
        complaints = [line for line in done.stderr.splitlines() if not line.startswith("{")]
        if "--json" in words and done.stdout:
            document = json.loads(done.stdout)
            complaints += [document["error"]["message"]] if not document.get("ok", True) else []
        if done.returncode == failed and "Too many open files" in str(complaints):
            # One line, or a diagnosis whose last line is what to do.
            assert sum("Too many open files" in line for line in complaints) == 1, (files, done)
            assert len(complaints) == 1 or complaints[-1].startswith("fix: "), (files, done)
            assert complaints[-1].rstrip(".").lower().endswith(ADVICE.format(files).lower()), (files, done)


def chained(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(errno.ENFILE, "x"), "fs.file-max"),
        (chained(ValueError("y"), OSError(errno.ENOSPC, "x")), "make room on that device"),
        (MemoryError(), "`ulimit -v`"),
        (RuntimeError("can't start new thread"), "`ulimit -u`"),
        (RuntimeError("another"), None),
        (OSError(errno.ENOENT, "x"), None),
    ],
    ids=repr,
)
def test_what_has_run_out(error: Exception, advice: str | None) -> None:
    found = shortage.advice(error)
    assert (found is None) if advice is None else (advice in str(found))
    assert shortage.explained(error) == "; ".join(filter(None, (str(error), found)))
