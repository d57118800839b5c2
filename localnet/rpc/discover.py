"""The methods as an OpenRPC document (https://spec.open-rpc.org), made from the table that carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pygenvm.localnet.rpc.registry import Method


def openrpc(methods: Mapping[str, Method], version: str) -> dict[str, Any]:
    """``rpc.discover`` answers this; schemas/localnet-rpc.json is it, too."""
    return {
        "openrpc": "1.3.2",
        "info": {
            "title": "pygenvm local network",
            "version": version or "0",
            "description": "The JSON-RPC methods of `genvm local serve`.",
        },
        "methods": [_method(methods[name]) for name in sorted(methods)],
    }


def _method(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "either",
        "params": [
            {
                "name": param.name,
                "required": param.required,
                "schema": dict(param.kind.schema),
            }
            for param in method.params
        ],
        "result": {"name": "result", "schema": dict(method.result)},
    }
