"""An operator's parts: votes that outlive it, commands that find answers, and a service that says nonsense."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pygenvm.cli.main import main
from pygenvm.modules.log import Logger
from pygenvm.settlement.blocks.signatures import Secp256k1Key
from pygenvm.settlement.codec.hashes import prompt_hash
from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.operator.answering import Answer, Answering, Command, NoAnswer, Question
from pygenvm.settlement.operator.client import Client, ServiceError
from pygenvm.settlement.operator.votes import Vote, Votes, VotesError
from pygenvm.settlement.operator.worker import Worker
from tests.settlement.chains import OPERATOR_KEYS
from tests.settlement.service import live
from tests.settlement.vectors import word

VOTE = Vote(word(1), word(2), word(3), word(4), word(5), word(6))
QUESTION = Question(word(1), word(2), word(3), b"What?")
KEY = OPERATOR_KEYS[0]
ME = "0x" + KEY.address.hex()


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


# --- votes ---


def test_votes_outlive_their_process(tmp_path: Path) -> None:
    votes = Votes(tmp_path / "state")
    votes.keep(VOTE)
    votes.close()
    again = Votes(tmp_path / "state")
    assert again.read(VOTE.task) == VOTE
    assert list(again.tasks()) == [VOTE.task]
    assert again.read(word(9)) is None
    (file,) = (tmp_path / "state").glob("*.vote")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again.forget(VOTE.task)
    assert list(again.tasks()) == []


def test_a_vote_is_synced_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    votes = Votes(tmp_path)
    sync, rename = os.fsync, Path.rename

    def noted_sync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def noted_rename(path: Path, to: Path) -> Path:
        done.append("rename")
        return rename(path, to)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    votes.keep(VOTE)
    assert done == ["file", "rename", "folder"]


def test_a_vote_is_never_replaced(tmp_path: Path) -> None:
    votes = Votes(tmp_path)
    votes.keep(VOTE)
    with pytest.raises(VotesError, match="is there already"):
        votes.keep(replace(VOTE, nonce=word(7)))
    assert votes.read(VOTE.task) == VOTE


def test_a_folder_has_one_operator(tmp_path: Path) -> None:
    first = Votes(tmp_path)
    with pytest.raises(VotesError, match="another operator runs with"):
        Votes(tmp_path)
    first.close()
    Votes(tmp_path).close()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"task": 5}', "\x00", '{"task":"' + "00" * 32 + '"}'])
def test_broken_votes(tmp_path: Path, text: str) -> None:
    votes = Votes(tmp_path)
    (tmp_path / f"{VOTE.task.hex()}.vote").write_text(text)
    with pytest.raises(VotesError):
        votes.read(VOTE.task)


def test_the_vote_of_another_task(tmp_path: Path) -> None:
    votes = Votes(tmp_path)
    votes.keep(VOTE)
    (tmp_path / f"{VOTE.task.hex()}.vote").rename(tmp_path / f"{word(9).hex()}.vote")
    with pytest.raises(VotesError, match="is no vote for this task"):
        votes.read(word(9))


# --- answers ---


async def test_a_command_answers() -> None:
    script = 'cat; printf " $GENVM_TASK $GENVM_MODEL_SPEC $GENVM_PROMPT_HASH"'
    answer = await Command(["sh", "-c", script], 10).answer(QUESTION)
    output = f"What? {hexed(word(1))} {hexed(word(2))} {hexed(word(3))}".encode()
    assert answer == Answer(keccak256(output))
    assert await Command(["true"], 10).answer(replace(QUESTION, prompt=bytes(1 << 20))) == Answer(keccak256(b""))


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["sh", "-c", "echo because >&2; exit 3"], "the command ended with 3: because"),
        (["sh", "-c", "sleep 60 & sleep 60"], "the command took longer than 1 s"),
        (["sh", "-c", "yes >&2 & sleep 60"], "the command took longer than 1 s"),
        (["/nonexistent"], "/nonexistent cannot be started: No such file or directory"),
        (["sh", "-c", "head -c 20000000 /dev/zero"], "the command writes more than 16777216 bytes"),
    ],
)
async def test_a_command_without_an_answer(command: list[str], why: str) -> None:
    with pytest.raises(NoAnswer) as error:
        await Command(command, 1).answer(QUESTION)
    assert str(error.value) == why


# --- a service that says nonsense ---

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Told(Answering):
    def __init__(self) -> None:
        self.asked: list[Question] = []

    async def answer(self, question: Question) -> Answer:
        self.asked.append(question)
        return Answer(keccak256(b"output"), word(0x77))


class Liar:
    """Says what it is told to, and remembers what is sent to it."""

    def __init__(self, **answers: Any) -> None:
        chain = {"aChainId": hexed(word(7))}
        account = {"nonce": 0, "nextNonce": 0}
        self.answers = {"chain": chain, "account": account, "tasks": {"height": 5, "tasks": []}, **answers}
        self.sent: list[bytes] = []
        app = web.Application()
        app.router.add_get("/v1/settlement/chain", self._says("chain"))
        app.router.add_get("/v1/settlement/accounts/{address}", self._says("account"))
        app.router.add_get("/v1/settlement/tasks", self._says("tasks"))
        app.router.add_get("/v1/settlement/tasks/{task}/prompt", self._says("prompt"))
        app.router.add_post("/v1/settlement/transactions", self._take)
        self._runner = web.AppRunner(app)

    async def __aenter__(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def _says(self, name: str) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            answer = self.answers.get(name)
            if isinstance(answer, bytes):
                return web.Response(body=answer)
            return web.json_response(answer if answer is not None else {"error": "no"}, status=200 if answer else 404)

        return handler

    async def _take(self, request: web.Request) -> web.Response:
        self.sent.append(bytes.fromhex((await request.json())["transaction"][2:]))
        self.answers["account"]["nextNonce"] += 1
        return web.json_response({"id": hexed(word(1)), "status": "waiting"}, status=202)


def a_task(**changes: Any) -> dict[str, Any]:
    return {
        "taskId": hexed(VOTE.task),
        "modelSpecHash": hexed(VOTE.model_spec),
        "promptHash": hexed(prompt_hash(b"What?")),
        "commitDeadline": 32,
        "revealDeadline": 62,
        "operators": [ME],
        "commits": [],
        "reveals": [],
        **changes,
    }


async def looked(liar: Liar, folder: Path, times: int = 1, *, vote: Vote | None = None) -> tuple[Told, Votes]:
    answering, votes = Told(), Votes(folder)
    if vote is not None:
        votes.keep(vote)
    log = Logger(fd=os.open(os.devnull, os.O_WRONLY))
    async with liar as url:
        client = Client(url)
        worker = Worker(client, KEY, votes, answering, log)
        try:
            for _ in range(times):
                await worker.look()
                await asyncio.sleep(0.2)
        finally:
            await client.close()
            votes.close()
    return answering, votes


async def test_commits_once(tmp_path: Path) -> None:
    """The answer, then a commit, and no other one while that waits."""
    liar = Liar(tasks={"height": 5, "tasks": [a_task()]}, prompt={"prompt": hexed(b"What?")})
    answering, votes = await looked(liar, tmp_path, 4)
    assert [one.prompt for one in answering.asked] == [b"What?"]
    assert len(liar.sent) == 1
    assert votes.read(VOTE.task) is not None


async def test_commits_again_what_got_lost(tmp_path: Path) -> None:
    """The same vote, with the nonce that is free again."""
    liar = Liar(tasks={"height": 5, "tasks": [a_task()]}, prompt={"prompt": hexed(b"What?")})
    await looked(liar, tmp_path, 3)
    liar.answers["account"] = {"nonce": 0, "nextNonce": 0}
    again = Liar(**liar.answers)
    await looked(again, tmp_path)
    assert again.sent == liar.sent


async def test_is_not_drawn(tmp_path: Path) -> None:
    liar = Liar(tasks={"height": 5, "tasks": [a_task(operators=[hexed(bytes(20))])]})
    answering, _ = await looked(liar, tmp_path, 2)
    assert (answering.asked, liar.sent) == ([], [])


async def test_another_prompt(tmp_path: Path) -> None:
    """Whoever answers another question than the others is alone with it."""
    liar = Liar(tasks={"height": 5, "tasks": [a_task()]}, prompt={"prompt": hexed(b"Who?")})
    answering, votes = await looked(liar, tmp_path)
    assert answering.asked == []
    assert votes.read(VOTE.task) is None


@pytest.mark.parametrize(
    ("height", "sent"),
    [(31, 0), (32, 1), (61, 1), (62, 0)],
)
async def test_reveals_within_the_window(tmp_path: Path, height: int, sent: int) -> None:
    """The last accepted height is one below that of the next block."""
    vote = replace(VOTE, prompt=prompt_hash(b"What?"))
    commits = [{"operator": ME, "commitment": hexed(vote.commitment(KEY.address))}]
    liar = Liar(tasks={"height": height, "tasks": [a_task(commits=commits)]})
    await looked(liar, tmp_path, vote=vote)
    assert len(liar.sent) == sent


async def test_reveals_nothing_else_than_it_has_committed_to(tmp_path: Path) -> None:
    commits = [{"operator": ME, "commitment": hexed(word(99))}]
    liar = Liar(tasks={"height": 40, "tasks": [a_task(commits=commits)]})
    await looked(liar, tmp_path, vote=VOTE)
    assert liar.sent == []


async def test_is_late(tmp_path: Path) -> None:
    liar = Liar(tasks={"height": 32, "tasks": [a_task()]})
    answering, _ = await looked(liar, tmp_path)
    assert (answering.asked, liar.sent) == ([], [])


async def test_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """Also at the moment at which something has happened."""
    log, votes = Logger(fd=os.open(os.devnull, os.O_WRONLY)), Votes(tmp_path)
    async with Liar() as url:
        client = Client(url)
        worker = Worker(client, KEY, votes, Told(), log, poll_seconds=60)
        working = asyncio.create_task(worker.run())
        await asyncio.sleep(0.3)
        worker._wake.set()
        working.cancel()
        done, _ = await asyncio.wait([working], timeout=5)
        assert done
        await client.close()


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"chain": b"<html>"}, "the service answers no JSON: Expecting value: line 1 column 1 (char 0)"),
        ({"chain": b"[]"}, "the service answers no JSON object"),
        ({"chain": b"[" * 1000}, "the service answers no JSON: JSON text is nested more than 16 levels deep"),
        ({"chain": {"aChainId": "0x00"}}, "aChainId in an answer of the service is not 32 bytes"),
        ({"chain": None}, "no"),
        ({"account": {"nonce": -1, "nextNonce": 0}}, "nonce in an answer of the service is no number"),
        ({"account": {"nonce": 0, "nextNonce": True}}, "nextNonce in an answer of the service is no number"),
        ({"tasks": {"height": 5, "tasks": 5}}, "tasks in an answer of the service is no list"),
        ({"tasks": {"height": 5, "tasks": [5]}}, "a task is no JSON object"),
        (
            {"tasks": {"height": 5, "tasks": [a_task(taskId="0xzz")]}},
            "taskId in an answer of the service is no hexadecimal text",
        ),
        ({"tasks": b"0" * (17 << 20)}, "the answer is too big"),
    ],
)
async def test_nonsense(tmp_path: Path, answers: dict[str, Any], error: str) -> None:
    liar = Liar(**answers)
    with pytest.raises(ServiceError) as raised:
        await looked(liar, tmp_path)
    assert str(raised.value) == error
    assert liar.sent == []


# --- the command line ---


@pytest.mark.parametrize(
    ("mode", "text", "error"),
    [
        (0o644, "00" * 31 + "01", "can be read by others; chmod 600"),
        (0o600, "00" * 32, "holds no private key: 32 bytes in hexadecimal"),
        (0o600, "no key at all", "holds no private key: 32 bytes in hexadecimal"),
    ],
)
def test_key_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: int, text: str, error: str) -> None:
    key = tmp_path / "key"
    key.write_text(text)
    key.chmod(mode)
    rpc = "--rpc=http://127.0.0.1:9"
    assert main(["operator", "run", rpc, f"--key-file={key}", f"--state={tmp_path / 's'}", "--", "cat"]) == 1
    said = capsys.readouterr().err
    assert error in said
    assert text not in said


def test_new_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "key"
    assert main(["operator", "new-key", str(file)]) == 0
    key = Secp256k1Key(bytes.fromhex(file.read_text()))
    assert capsys.readouterr().out == f"0x{key.address.hex()}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert main(["operator", "new-key", str(file)]) == 1
    assert Secp256k1Key(bytes.fromhex(file.read_text())) == key


@pytest.mark.parametrize(
    ("genesis", "error"),
    [
        ("[]", "a genesis is a JSON object"),
        ('{"aChain": "a"}', "cChain is missing; it must be a label, or 32 bytes in hexadecimal"),
        ('{"cChain": "c", "aChain": "0x12"}', "'0x12' is not 32 bytes in hexadecimal with 0x"),
        ('{"cChain": "c", "aChain": "a", "cooldown": 59}', "cooldown is less than 60"),
        ('{"cChain": "c", "aChain": "a", "balance": {}}', "'balance' is no member of a genesis"),
        ('{"cChain": "c", "aChain": "a", "balances": {"0x01": "1"}}', "'0x01' is not 20 bytes in hexadecimal with 0x"),
        (
            '{"cChain": "c", "aChain": "a", "balances": {"0x' + "aa" * 20 + '": 1}}',
            "a balance is a decimal text",
        ),
        (
            '{"cChain": "c", "aChain": "a", "balances": {"0x' + "aa" * 20 + '": "1", "0x' + "AA" * 20 + '": "1"}}',
            "has two balances",
        ),
    ],
)
def test_bad_genesis(tmp_path: Path, capsys: pytest.CaptureFixture[str], genesis: str, error: str) -> None:
    file = tmp_path / "genesis.json"
    file.write_text(genesis)
    assert main(["settlement", "serve", f"--genesis={file}", "--port=0"]) == 1
    assert error in capsys.readouterr().err


class Slow(Answering):
    """Never done."""

    def __init__(self) -> None:
        self.looking = 0

    async def answer(self, question: Question) -> Answer:
        self.looking += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.looking -= 1
        raise AssertionError


async def test_gives_up_what_comes_too_late(tmp_path: Path) -> None:
    """Whoever asks what takes forever keeps no place longer than until commits close."""
    log, votes, slow = Logger(fd=os.open(os.devnull, os.O_WRONLY)), Votes(tmp_path), Slow()
    liar = Liar(tasks={"height": 31, "tasks": [a_task()]}, prompt={"prompt": hexed(b"What?")})
    async with liar as url:
        client = Client(url)
        worker = Worker(client, KEY, votes, slow, log, answers_at_once=1)
        for height, looking in ((5, 1), (31, 1), (32, 0)):
            liar.answers["tasks"]["height"] = height
            await worker.look()
            await asyncio.sleep(0.2)
            assert slow.looking == looking
        await client.close()
        votes.close()


@pytest.mark.parametrize("option", ["--records", "--mocks", "--llm-config", "--web-config"])
def test_options_of_executors_beside_a_command(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--rpc=http://127.0.0.1:9", "--key-file=key", "--state=state", f"{option}=here", "--", "cat")
    assert main(["operator", "run", *words]) == 2
    assert capsys.readouterr().err == f"Error: {option} is for executors, and a command answers\n"


def test_mocks_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("key").touch(mode=0o600)
    Path("key").write_text("11" * 32)
    words = ("--rpc=http://127.0.0.1:9", "--key-file=key", "--state=state", "--mocks=mocks.yaml")
    assert main(["operator", "run", *words]) == 1
    assert capsys.readouterr().err.startswith("Error: --mocks: ")


@pytest.mark.parametrize(
    ("action", "word_", "said"),
    [
        ("register", "--model-spec=0x00", "argument --model-spec: '0x00' is not 32 bytes in hexadecimal"),
        ("register", "--endpoint=zz", "argument --endpoint: 'zz' is not 32 bytes in hexadecimal"),
        ("run", "--at-once=many", "argument --at-once: 'many' is no number from 1 to 1000"),
        ("run", "--answer-seconds=nan", "argument --answer-seconds: 'nan' is no number of seconds from 0.01 to 86400"),
    ],
)
def test_what_is_wrong_in_a_command_line(
    capsys: pytest.CaptureFixture[str], action: str, word_: str, said: str
) -> None:
    with pytest.raises(SystemExit):
        main(["operator", action, "--rpc=http://127.0.0.1:1", "--key-file=key", word_])
    assert capsys.readouterr().err.rstrip().endswith(said)


async def test_who_registers_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a service that makes no blocks, or only when it is asked to."""
    monkeypatch.setattr("pygenvm.settlement.operator.command._STALLED_SECONDS", 0.3)
    async with live(tmp_path) as net:
        (key := tmp_path / "key").touch(mode=0o600)
        key.write_text(KEY.secret.hex())
        common = [f"--rpc=http://127.0.0.1:{net.port}", f"--key-file={key}", f"--stake={2 * 10**18}"]
        words = ["operator", "register", *common, f"--model-spec=0x{word(1).hex()}"]
        assert await asyncio.to_thread(main, words) == 1
        assert (await net.engine("/chain"))["waiting"] == 1
