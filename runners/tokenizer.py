"""Correction of the released word piece tokenizer (spec sdk/05 §3).

The release never ends on a character that is not in the vocabulary and follows another one in a word: it takes the
continuation mark that it puts in front of the rest for text. Contracts expect such a character to be skipped.
"""

from __future__ import annotations

from pygenvm.runners.errors import BuildError

_FILE = "word_piece_tokenizer/WordPieceTokenizer.py"
_RELEASED = b"""\
        while text != "##":
            token_id, text = self.tokens_trie.getLongestMatchToken(text)
            text = "##" + text
            token_ids = [*token_ids, token_id]
"""
_CORRECTED = b"""\
        unknown = self.tokens_trie.unk_token_id
        while text and text != "##":
            token_id, rest = self.tokens_trie.getLongestMatchToken(text)
            if token_id == unknown and text.startswith("##"):
                # what follows a skipped character starts a piece of its own
                text = text[3:]
                continue
            text = "##" + rest
            token_ids.append(token_id)
"""


def corrected(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files of the package with the loop over a word corrected.

    :raises BuildError: the release is another one than the correction is for.
    """
    if files[_FILE].count(_RELEASED) != 1:
        raise BuildError(f"{_FILE} is not the file that runners/tokenizer.py corrects")
    return files | {_FILE: files[_FILE].replace(_RELEASED, _CORRECTED)}
