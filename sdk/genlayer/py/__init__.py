"""Part of the SDK that needs no sandbox: types, codecs, storage layout, schema, EVM encoding."""
