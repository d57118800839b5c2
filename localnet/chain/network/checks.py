"""What can be of no use whatever the state is."""

from __future__ import annotations

import dataclasses
from datetime import UTC

from pygenvm.executor.limits import CONTRACT_FILE_BYTES
from pygenvm.localnet import limits
from pygenvm.localnet.chain.network.errors import TooLarge
from pygenvm.localnet.chain.network.rows import model_to_json, to_json
from pygenvm.localnet.chain.network.types import (
    Model,
    Submission,
)
from pygenvm.localnet.errors import BadValue

_U256 = 1 << 256
#: The next one is still an integer of the database.
_NONCE_MAX = (1 << 63) - 2


def checked(submission: Submission) -> Submission:
    """A submission whose numbers are within bounds.

    :raises BadRequest: it can have no effect at all.
    """
    if not 0 <= submission.value < _U256:
        raise BadValue("the value must be from 0 to 2^256 - 1")
    if submission.nonce is not None and not 0 <= submission.nonce <= _NONCE_MAX:
        raise TooLarge(f"nonce too high: it is {submission.nonce}, and can be at most {_NONCE_MAX}")
    if not 0 <= submission.salt < _U256:
        raise BadValue("the salt must be from 0 to 2^256 - 1")
    if submission.id is not None and len(submission.id) != 32:
        raise BadValue("an id has 32 bytes")
    if len(submission.virtual) > limits.NETWORK_VALIDATORS:
        raise TooLarge(f"a transaction can have {limits.NETWORK_VALIDATORS} validators")
    for virtual in submission.virtual:
        check_stake(1 if virtual.stake is None else virtual.stake)
    if submission.datetime is not None and submission.datetime.tzinfo is None:
        raise BadValue("a date needs its zone")
    check_code(submission.code)
    check_size(submission.calldata)
    return dataclasses.replace(
        submission,
        validators=min(max(1, submission.validators), limits.NETWORK_VALIDATORS),
        rotations=min(max(0, submission.rotations), limits.ROTATIONS),
        datetime=submission.datetime and submission.datetime.astimezone(UTC),
    )


def check_code(code: bytes) -> None:
    if len(code) > CONTRACT_FILE_BYTES:
        raise TooLarge(f"the contract has {len(code)} bytes, the limit is {CONTRACT_FILE_BYTES}")


def check_size(data: bytes) -> None:
    if len(data) > limits.CALLDATA_BYTES:
        raise TooLarge(f"the calldata has {len(data)} bytes, the limit is {limits.CALLDATA_BYTES}")


def check_stake(stake: int) -> None:
    if not 0 < stake < _U256:
        raise BadValue("a stake must be from 1 to 2^256 - 1")


def check_model(model: Model) -> None:
    if not model.provider or not model.model:
        raise BadValue("a model needs a provider and a name")
    if len(to_json(model_to_json(model))) > limits.MODEL_CHARACTERS:
        raise BadValue(f"the configuration of a model can have {limits.MODEL_CHARACTERS} characters")
