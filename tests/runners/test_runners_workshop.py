"""Steps of the build: kept by content, never half done, one build at a time."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest

from pygenvm.runners.errors import BuildError, ToolFailed
from pygenvm.runners.workshop import Step, Work, Workshop, digest_files


def write_step(name: str, made: list[str], inputs: tuple[str, ...] = (), needs: tuple[Step, ...] = ()) -> Step:
    def make(work: Work) -> None:
        made.append(name)
        (work.out / "file").write_text(name)

    return Step(name, f"make {name}", inputs, needs, make)


def failing_step(command: str) -> Step:
    return Step("broken", "break it", (), (), lambda work: work.run("sh", "-c", command, cwd=work.folder))


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    (tmp_path / "build").mkdir()
    return Workshop(tmp_path, tmp_path / "sources", 1)


def test_a_step_runs_once_after_what_it_needs(workshop: Workshop) -> None:
    made: list[str] = []
    first = write_step("first", made)
    second = write_step("second", made, needs=(first,))
    assert workshop.missing([second]) == [first, second]
    assert (workshop.result(second) / "file").read_text() == "second"
    assert workshop.result(second) == workshop.folder(second)
    assert workshop.missing([second]) == []
    assert made == ["first", "second"]


def test_what_a_finished_step_needed_may_be_gone(workshop: Workshop) -> None:
    made: list[str] = []
    first = write_step("first", made)
    second = write_step("second", made, needs=(first,))
    workshop.result(second)
    workshop.forget([first])
    workshop.result(second)
    assert made == ["first", "second"]


def test_forget_makes_everything_anew(workshop: Workshop) -> None:
    made: list[str] = []
    second = write_step("second", made, needs=(write_step("first", made),))
    workshop.result(second)
    workshop.forget([second])
    workshop.result(second)
    assert made == ["first", "second"] * 2


def test_keys_depend_on_name_inputs_and_needs() -> None:
    base = write_step("a", [], ("1", "2"))
    others = [
        write_step("b", [], ("1", "2")),
        write_step("a", [], ("1", "3")),
        write_step("a", [], ("12",)),
        write_step("a", [], ("1", "2"), (write_step("n", []),)),
        write_step("a", [], ("1", "2"), (write_step("n", [], ("x",)),)),
    ]
    assert len({step.key for step in [base, *others]}) == 6
    assert write_step("a", ["other"], ("1", "2")).key == base.key


def test_a_platform_has_its_own_folder_but_the_same_key(workshop: Workshop) -> None:
    program = Step("tool", "make it", (), (), lambda work: None, "linux-x86_64")
    other = Step("tool", "make it", (), (), lambda work: None, "linux-aarch64")
    assert program.key == other.key
    assert workshop.folder(program) == workshop.build / f"tool-linux-x86_64-{program.key}"
    assert workshop.folder(other) != workshop.folder(program)


def test_digest_depends_on_names_and_contents_but_not_on_bytecode(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.py").write_text("2")
    before = digest_files([tmp_path])
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    assert digest_files([tmp_path]) == before
    (tmp_path / "sub" / "b.py").write_text("3")
    changed = digest_files([tmp_path])
    (tmp_path / "sub" / "b.py").rename(tmp_path / "sub" / "c.py")
    assert len({before, changed, digest_files([tmp_path])}) == 3


def test_a_failed_step_leaves_no_result_and_runs_again(workshop: Workshop) -> None:
    attempts: list[int] = []

    def make(work: Work) -> None:
        (work.out / "half").write_text("half")
        attempts.append(1)
        if len(attempts) == 1:
            raise BuildError("no")

    step = Step("flaky", "try", (), (), make)
    with pytest.raises(BuildError, match="no"):
        workshop.result(step)
    assert not workshop.folder(step).exists()
    workshop.result(step)
    assert len(attempts) == 2


def test_the_error_of_a_tool_says_where_and_what(workshop: Workshop) -> None:
    step = failing_step("echo one; echo two >&2; exit 3")
    with pytest.raises(ToolFailed) as error:
        workshop.result(step)
    work = workshop.build / "work" / f"broken-{step.key}"
    log = workshop.logs / f"broken-{step.key}.log"
    lines = str(error.value).splitlines()
    assert lines[:-1] == [
        "Step failed: break it",
        "Command ended with 3: sh -c 'echo one; echo two >&2; exit 3'",
        f"Last lines of its output ({log}):",
        "  ",
        f"  $ cd {work} && sh -c 'echo one; echo two >&2; exit 3'",
        "  one",
        "  two",
    ]
    assert lines[-1].startswith("What to do: ")


def test_only_the_last_lines_of_a_log_are_shown(workshop: Workshop) -> None:
    with pytest.raises(ToolFailed) as error:
        workshop.result(failing_step("n=0; while [ $n -lt 50 ]; do n=$((n+1)); echo line $n; done; exit 1"))
    shown = [line for line in str(error.value).splitlines() if line.startswith("  line ")]
    assert shown == [f"  line {n}" for n in range(21, 51)]


def test_a_tool_that_is_not_there(workshop: Workshop) -> None:
    step = Step("absent", "call it", (), (), lambda work: work.run("no-such-tool", cwd=work.folder))
    with pytest.raises(ToolFailed, match="cannot be started: "):
        workshop.result(step)


def test_tools_see_nothing_of_the_user_s_environment(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CFLAGS", "-march=native")

    def make(work: Work) -> None:
        work.run("sh", "-c", 'test -z "$CFLAGS" && ! command -v gcc && echo $PATH $PYTHONHASHSEED', cwd=work.folder)
        assert work.log.read_text().endswith(f"{work.folder}/bin 0\n")

    workshop.result(Step("environment", "look around", (), (), make))


def test_blanks_in_the_path_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(BuildError, match="must not have blanks"),
        Workshop(tmp_path / "my cache", tmp_path, 1).locked(visible=False),
    ):
        pass


def hold_lock(root: Path, held: threading.Event, release: threading.Event) -> None:
    with Workshop(root, root, 1).locked(visible=False):
        held.set()
        release.wait(30)


def test_a_second_process_waits_and_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=hold_lock, args=(tmp_path, held, release))
    other.start()
    try:
        assert held.wait(30)
        threading.Timer(0.3, release.set).start()
        with Workshop(tmp_path, tmp_path, 1).locked(visible=True):
            assert release.is_set()
    finally:
        release.set()
        other.join(30)
    assert capfd.readouterr().err == "Another process is building the runners; waiting for it.\n"
