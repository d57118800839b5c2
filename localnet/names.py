"""What a user may write for an account or a contract.

A word that starts with ``0x`` is an address, any other word is a name. Accounts have the names of
:data:`localnet.chain.accounts.NAMES`. A contract has the name that its deployment gave it, by default that of its file;
if several have the same one, the name means the last of them. Instead of a contract's whole address the first digits
are enough if no other contract starts with them. Without any word the contract deployed last by the user is meant; if
a deployment has failed since then, nobody can know which one is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.model import ContractInfo, Receipt
from pygenvm.localnet.errors import BadValue, NotFound
from pygenvm.localnet.shorten import shorten
from pygenvm.localnet.values import ADDRESS_TEXT, address_from_text

#: Methods that are called without a name: of a deployment, and of a call.
CONSTRUCTOR, RECEIVE = "__init__", "__receive__"

#: Characters of an address in a message.
_SHORT_ADDRESS = 10
#: Characters of what a failed deployment said.
_FAILURE_CHARACTERS = 200
# Patterns that most commands do not need are texts: compiling one takes longer than many a question.
_PREFIX = r"0x[0-9a-f]{1,40}"
_NAME = rf"[A-Za-z_][A-Za-z0-9_.-]{{0,{limits.NAME_CHARACTERS - 1}}}"


def check_contract_name(name: str) -> str:
    """A name that a contract may have.

    :raises BadValue: another one.
    """
    if not re.fullmatch(_NAME, name):
        raise BadValue(
            f"not a name for a contract: {name[:80]!r} (write a letter, then letters, digits and . _ -;"
            f" {limits.NAME_CHARACTERS} characters at most)"
        )
    if name in accounts.NAMES:
        raise BadValue(f"{name!r} is the name of an account")
    return name


def name_from_file(stem: str) -> str:
    """The name of a contract whose file is called ``stem``; characters that a name may not have become ``_``."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", stem)[: limits.NAME_CHARACTERS - 1]
    name = name if re.fullmatch(_NAME, name) else "_" + name
    return name if name not in accounts.NAMES else name + "_"


def find_contract(
    contracts: Sequence[ContractInfo], word: str | Address | None, failed: Receipt | None = None
) -> ContractInfo:
    """The contract that ``word`` means, of ``contracts`` in order of deployment.

    :param failed: the deployment that the user tried last, if it failed.
    :raises NotFound: none, or more than one.
    :raises BadValue: an address with a wrong checksum.
    """
    if not contracts:
        why = _failure(failed) if failed else "there is no contract yet"
        raise NotFound(f"{why}: deploy one with `genvm local deploy FILE`")
    if word is None:
        last = next((info for info in reversed(contracts) if info.top_level), contracts[-1])
        if failed is None:
            return last
        named = f"{last.name} or " if last.name else ""
        raise NotFound(
            f"{_failure(failed)}; the contract deployed before it is still there: to use that, name it,"
            f" {named}{last.address.as_hex[:_SHORT_ADDRESS]}"
        )
    if isinstance(word, str) and ADDRESS_TEXT.fullmatch(word):
        word = address_from_text(word)
    if isinstance(word, Address):
        found = [info for info in contracts if info.address == word]
    elif word.lower().startswith("0x"):
        prefix = word.lower()
        found = [info for info in contracts if info.address.as_hex.lower().startswith(prefix)]
        if not re.fullmatch(_PREFIX, prefix):
            found = []
    else:
        found = [info for info in contracts if info.name == word][-1:]
    if not found:
        raise NotFound(f"no contract {str(word)[:80]!r}; there are {_names(contracts)}")
    if len(found) > 1:
        raise NotFound(f"{word!r} starts several addresses: {_addresses(found)}")
    return found[0]


def find_address(contracts: Sequence[ContractInfo], word: str) -> Address:
    """The address that ``word`` means: an account, a contract, or any whole address.

    :raises NotFound: an unknown name.
    :raises BadValue: an address with a wrong checksum.
    """
    if word in accounts.named():
        return accounts.named()[word]
    if ADDRESS_TEXT.fullmatch(word):
        return address_from_text(word)
    try:
        return find_contract(contracts, word).address
    except NotFound as error:
        if word.startswith("0x"):
            raise
        raise NotFound(
            f"no account and no contract {word[:80]!r}; accounts are {', '.join(accounts.NAMES)};"
            f" contracts are {_names(contracts) or 'none'}"
        ) from error


def find_sender(word: str | Address) -> Address:
    """The account that ``word`` means: a name or a whole address.

    :raises NotFound: an unknown name.
    :raises BadValue: not an address.
    """
    if isinstance(word, Address):
        return word
    if word.startswith("0x"):
        return address_from_text(word)
    if word in accounts.named():
        return accounts.named()[word]
    raise NotFound(f"no account {word[:80]!r}; there are {', '.join(accounts.NAMES)}, and any address")


def short_name(contract: ContractInfo) -> str:
    """Name and start of the address, for people."""
    return f"{contract.name} {contract.address.as_hex[:_SHORT_ADDRESS]}…".lstrip()


def _failure(failed: Receipt) -> str:
    outcome = failed.outcome
    why = "" if outcome is None or isinstance(outcome, Return) else f" ({outcome.message[:_FAILURE_CHARACTERS]})"
    return f"the last deployment{f', of {failed.transaction.name},' if failed.transaction.name else ''} failed{why}"


def _names(contracts: Sequence[ContractInfo]) -> str:
    """Every name once; a contract without one by the start of its address."""
    return shorten(dict.fromkeys(info.name or short_name(info) for info in contracts), last=True)


def _addresses(contracts: Sequence[ContractInfo]) -> str:
    return shorten([f"{info.address!s}{f' ({info.name})' if info.name else ''}" for info in contracts], last=True)
