# Generated from the SDK by `python -m runners.stubs`.
"""Descriptors and their construction."""
