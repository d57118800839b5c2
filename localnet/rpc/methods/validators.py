"""Validators and the models that they ask (spec localnet-rpc/01 §4.5)."""

from __future__ import annotations

from typing import Any, Final

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain.network.types import Model
from pygenvm.localnet.rpc import objects
from pygenvm.localnet.rpc.registry import INT, LIST, NULL, OBJECT, Methods, Node
from pygenvm.localnet.rpc.registry import TEXT as TEXT_RESULT
from pygenvm.localnet.rpc.values import ADDRESS, AMOUNT, INTEGER, MODEL, NUMBER, TEXT, TEXTS, Param
from pygenvm.localnet.rpc.values import OBJECT as OBJECT_KIND

METHODS = Methods()

_ADDRESS: Final = Param("validator_address", ADDRESS)
_STAKE: Final = Param("stake", AMOUNT)
_OF_MODEL: Final = (
    Param("provider", TEXT),
    Param("model", TEXT),
    Param("config", OBJECT_KIND, default=None),
    Param("plugin", TEXT, default=""),
    Param("plugin_config", OBJECT_KIND, default=None),
)


def _model(provider: str, model: str, config: Any, plugin: str, plugin_config: Any) -> Model:
    return Model(provider, model, config or {}, plugin, plugin_config or {})


@METHODS.add("sim_createValidator", _STAKE, *_OF_MODEL, result=OBJECT)
async def create_validator(node: Node, stake: int, *of_model: Any) -> dict[str, Any]:
    """Makes a validator with a model of its own."""
    return objects.validator_object(await node.network.create_validator(stake, _model(*of_model)))


@METHODS.add("sim_createRandomValidator", _STAKE, result=OBJECT)
async def create_random_validator(node: Node, stake: int) -> dict[str, Any]:
    """Makes a validator with any model that is available."""
    (validator,) = await node.network.create_random_validators(1, stake, stake)
    return objects.validator_object(validator)


@METHODS.add(
    "sim_createRandomValidators",
    Param("count", INTEGER),
    Param("min_stake", AMOUNT),
    Param("max_stake", AMOUNT),
    Param("limit_providers", TEXTS, default=()),
    Param("limit_models", TEXTS, default=()),
    result=LIST,
)
async def create_random_validators(
    node: Node, count: int, low: int, high: int, providers: list[str], models: list[str]
) -> list[Any]:
    """Makes validators with any stake between two and any model that is available, or of those that are named."""
    found = await node.network.create_random_validators(count, low, high, providers, models)
    return [objects.validator_object(one) for one in found]


@METHODS.add("sim_updateValidator", _ADDRESS, _STAKE, *_OF_MODEL, result=OBJECT)
async def update_validator(node: Node, address: Address, stake: int, *of_model: Any) -> dict[str, Any]:
    """Gives a validator another stake and model."""
    return objects.validator_object(await node.network.update_validator(address, stake, _model(*of_model)))


@METHODS.add("sim_deleteValidator", _ADDRESS, result=TEXT_RESULT)
async def delete_validator(node: Node, address: Address) -> str:
    """Removes a validator."""
    await node.network.delete_validator(address)
    return address.as_hex


@METHODS.add("sim_deleteAllValidators", result=LIST)
async def delete_all_validators(node: Node) -> list[Any]:
    """Removes all validators; transactions wait until there are some again."""
    await node.network.delete_all_validators()
    return []


@METHODS.add("sim_getValidator", _ADDRESS, result=OBJECT)
async def get_validator(node: Node, address: Address) -> dict[str, Any]:
    """One validator."""
    return objects.validator_object(await node.network.validator(address))


@METHODS.add("sim_getAllValidators", result=LIST)
async def get_all_validators(node: Node) -> list[Any]:
    """All validators."""
    return [objects.validator_object(one) for one in await node.network.validators()]


@METHODS.add("sim_countValidators", result=INT)
async def count_validators(node: Node) -> int:
    """How many validators there are."""
    return len(await node.network.validators())


@METHODS.add("sim_getProvidersAndModels", result=LIST)
async def get_providers_and_models(node: Node) -> list[Any]:
    """Models that validators may be made with."""
    return [objects.provider_object(one) for one in await node.network.providers()]


@METHODS.add("sim_addProvider", Param("provider", MODEL), result=INT)
async def add_provider(node: Node, model: Model) -> int:
    """Adds a model; its number."""
    return await node.network.add_provider(model)


@METHODS.add("sim_updateProvider", Param("id", NUMBER), Param("provider", MODEL), result=NULL)
async def update_provider(node: Node, number: int, model: Model) -> None:
    """Replaces a model."""
    await node.network.update_provider(number, model)


@METHODS.add("sim_deleteProvider", Param("id", NUMBER), result=NULL)
async def delete_provider(node: Node, number: int) -> None:
    """Removes a model."""
    await node.network.delete_provider(number)


@METHODS.add("sim_resetDefaultsLlmProviders", result=NULL)
async def reset_providers(node: Node) -> None:
    """Models as in a new network."""
    await node.network.reset_providers()
