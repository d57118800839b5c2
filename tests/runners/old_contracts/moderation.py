# { "Depends": "py-genlayer:15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0" }

import genlayer.std as std
import typing
from genlayer import *
from genlayer.py.storage import storage


@storage
class Verdict:
    text: str
    verdict: str


class Moderation(gl.Contract):
    verdicts: DynArray[Verdict]
    counts: Array[u32, typing.Literal[2]]

    def __init__(self):
        pass

    @gl.public.write
    def judge(self, text: str) -> str:
        answer = std.eq_principle_prompt_comparative(
            lambda: gl.exec_prompt(f"Is this rude? Answer yes or no: {text}").strip().lower(),
            principle="both say yes, or both say no",
        )
        if answer not in ("yes", "no"):
            raise Rollback(f"the answer is {answer}")
        entry = self.verdicts.append_new_get()
        entry.text, entry.verdict = text, answer
        self.counts[answer == "yes"] += 1
        return answer

    @gl.public.view
    def all(self) -> list[list[str]]:
        return [[verdict.text, verdict.verdict] for verdict in self.verdicts]
