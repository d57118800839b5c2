# Generated from the SDK by `python -m runners.stubs`.
"""Host calls and the contract's storage."""
