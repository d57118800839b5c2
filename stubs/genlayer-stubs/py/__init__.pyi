# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Part of the SDK that needs no sandbox: types, codecs, storage layout, schema, EVM encoding."""
