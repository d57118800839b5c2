"""The questions, from a file beside this one: all files of the archive can be read, and none can be changed."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Question:
    text: str
    right: str

    def is_right(self, answer: str) -> bool:
        return answer.strip().lower() == self.right.lower()


def load() -> list[Question]:
    lines = Path(__file__).with_name("questions.txt").read_text("utf-8").splitlines()
    return [Question(*line.split("|")) for line in lines]
