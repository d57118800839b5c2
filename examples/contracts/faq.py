# v0.2.16
# { "Seq": [
#   { "Depends": "py-lib-genlayer-embeddings:0bmbm3cyfwxsyh454z53vxqjf47wz2q7smcqp1q4g4a6k2kidnyk" },
#   { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }
# ] }

import dataclasses
import typing

import numpy as np  # type: ignore[import-not-found, unused-ignore]
from genlayer import *

import genlayer_embeddings as gle  # type: ignore[import-not-found, unused-ignore]

#: Questions that mean the same are nearer than this; unrelated ones are around 0.8.
FAR = 0.35


@allow_storage
@dataclasses.dataclass
class Entry:
    question: str
    answer: str


class Faq(gl.Contract):
    """Answers questions by meaning, whatever their words: the entry whose question is nearest."""

    owner: Address
    entries: gle.VecDB[np.float32, typing.Literal[384], Entry, gle.EuclideanDistanceSquared]

    def __init__(self) -> None:
        self.owner = gl.message.sender_address

    @gl.public.write
    def add(self, question: str, answer: str) -> int:
        self._only_owner()
        index: int = self.entries.insert(self._vector(question), Entry(question, answer))
        return index

    @gl.public.write
    def remove(self, index: int) -> None:
        self._only_owner()
        self.entries.get_by_id(index).remove()

    @gl.public.view
    def ask(self, question: str) -> str:
        for found in self.entries.knn(self._vector(question), 1):
            if found.distance < FAR:
                answer: str = found.value.answer
                return answer
        raise gl.vm.UserError("nobody has answered that yet")

    @gl.public.view
    def count(self) -> int:
        return len(self.entries)

    def _vector(self, text: str) -> typing.Any:
        return gle.SentenceTransformer("all-MiniLM-L6-v2")(text)

    def _only_owner(self) -> None:
        if gl.message.sender_address != self.owner:
            raise gl.vm.UserError("only the owner may do that")
