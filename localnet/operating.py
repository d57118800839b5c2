"""Executors that answer for an operator of a settlement service (:mod:`settlement.operator.answering`)."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pygenvm.executor.frozen import replaced
from pygenvm.executor.record.format import RecordError
from pygenvm.executor.record.reading import read_record
from pygenvm.localnet.chain.database import in_thread
from pygenvm.localnet.chain.model import Node, Verdict
from pygenvm.localnet.chain.requests import judge_document
from pygenvm.localnet.chain.runs import Runs, record_of
from pygenvm.localnet.errors import LocalNetError
from pygenvm.localnet.executors.base import Executor
from pygenvm.localnet.executors.pooled import many_runs
from pygenvm.localnet.modules.opened import Choices, modules_of_author
from pygenvm.modules.log import Logger
from pygenvm.settlement.bridge.documents import Document
from pygenvm.settlement.bridge.transcripts import TranscriptError, whole_transcript
from pygenvm.settlement.codec.transcript import transcript_hash
from pygenvm.settlement.operator.answering import Answer, NoAnswer, Question
from pygenvm.settlement.types.words import ZERO, Address, Hash

LOG_TARGET: Final = "genvm_settlement::executing"
_REASON_CHARACTERS: Final = 300


#: To mocks, operators are among the ``validators``.
_NODE: Final = "validator 1"


class Executing:
    """Runs the transaction of a task as its validator, and votes for what the leader found, or against it.

    Each vote is bound to the transcript of its run.

    :param records: folder for the record of each run, from which that can be proven; None: they are not kept.
    """

    def __init__(
        self, executor: Executor, operator: Address, seconds: float, records: Path | None, log: Logger
    ) -> None:
        node = Node(_NODE, "0x" + operator.hex())
        self._runs = Runs(executor, seconds, lambda: datetime.now(UTC), node, None, strict_views=False)
        self._records = records
        self._log = log

    async def answer(self, question: Question) -> Answer:
        if question.prompt is None:
            raise NoAnswer("the service does not have the document of the task")
        try:
            document = Document.decode(question.prompt)
        except ValueError as error:
            raise NoAnswer(f"the prompt is no document of a transaction: {error}") from error
        task = f"0x{question.task.hex()}"
        try:
            with self._folder(task) as folder:
                verdict, embedding = await self._judged(document, folder)
        except (LocalNetError, ValueError, OSError, RecordError, TranscriptError) as error:
            raise NoAnswer(f"the transaction cannot be judged: {error}") from error
        if not verdict.reached:
            raise NoAnswer(f"the run has no verdict: {_found(verdict)}")
        self._log.info("judged", task=task, vote="agree" if verdict.agrees else "disagree", why=_why(verdict))
        return Answer(document.yes if verdict.agrees else document.no, embedding)

    async def _judged(self, document: Document, folder: Path) -> tuple[Verdict, Hash]:
        runs = replaced(self._runs, strict_views=document.strict_views, records=folder)
        record = record_of(folder, runs.node)
        # Of a try before that came to nothing.
        record.unlink(missing_ok=True)
        verdict = await judge_document(runs, document)
        if not verdict.reached or not record.exists():
            # There is none where nothing had to be executed.
            return verdict, ZERO
        return verdict, transcript_hash(await in_thread(lambda: whole_transcript(read_record(record))))

    @contextlib.contextmanager
    def _folder(self, task: str) -> Iterator[Path]:
        if self._records is None:
            with tempfile.TemporaryDirectory(prefix="genvm-operator-", ignore_cleanup_errors=True) as name:
                yield Path(name)
        else:
            folder = self._records / task
            folder.mkdir(parents=True, exist_ok=True)
            yield folder


@contextlib.contextmanager
def executing(
    operator: Address, seconds: float, records: Path | None, log: Logger, choices: Choices, config: str | None
) -> Iterator[Executing]:
    """With executors from a pool, and the modules that they ask.

    :raises BadRequest: a configuration cannot be used.
    """

    def on_warning(text: str) -> None:
        log.warn(text)

    with modules_of_author(config, choices, on_warning=on_warning) as options, many_runs(options) as executor:
        yield Executing(executor, operator, seconds, records, log)


def _why(verdict: Verdict) -> str:
    if verdict.agrees:
        return ""
    if verdict.disagreement is not None:
        return f"nondet block {verdict.disagreement}: the leader's result is not accepted"
    return f"another {', another '.join(verdict.differences)}: {_found(verdict)}"


def _found(verdict: Verdict) -> str:
    return str(verdict.receipt.outcome)[:_REASON_CHARACTERS]
