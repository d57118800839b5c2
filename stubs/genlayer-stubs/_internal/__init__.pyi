# Generated from the SDK by `python -m runners.stubs`.
"""Start-up of a contract process."""
