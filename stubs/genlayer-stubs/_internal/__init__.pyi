# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Start-up of a contract process."""
