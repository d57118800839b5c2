# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Interoperability with EVM contracts (spec sdk/04 §8)."""
__all__ = ('ContractDeclaration', 'ContractProxy', 'InplaceTuple', 'MethodEncoder', 'bytes1', 'bytes2', 'bytes3', 'bytes4', 'bytes5', 'bytes6', 'bytes7', 'bytes8', 'bytes9', 'bytes10', 'bytes11', 'bytes12', 'bytes13', 'bytes14', 'bytes15', 'bytes16', 'bytes17', 'bytes18', 'bytes19', 'bytes20', 'bytes21', 'bytes22', 'bytes23', 'bytes24', 'bytes25', 'bytes26', 'bytes27', 'bytes28', 'bytes29', 'bytes30', 'bytes31', 'bytes32', 'contract_interface', 'decode', 'encode', 'selector_of', 'signature_of', 'type_name_of')
from .calldata import InplaceTuple, MethodEncoder, bytes1, bytes2, bytes3, bytes4, bytes5, bytes6, bytes7, bytes8, bytes9, bytes10, bytes11, bytes12, bytes13, bytes14, bytes15, bytes16, bytes17, bytes18, bytes19, bytes20, bytes21, bytes22, bytes23, bytes24, bytes25, bytes26, bytes27, bytes28, bytes29, bytes30, bytes31, bytes32, decode, encode, selector_of, signature_of, type_name_of
from .generate import ContractDeclaration, ContractProxy, contract_interface
from .generate import contract_generator as contract_generator
