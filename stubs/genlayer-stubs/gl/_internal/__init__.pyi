# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Host calls and the contract's storage."""
