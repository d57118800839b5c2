# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Descriptors and their construction."""
