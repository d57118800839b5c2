"""Descriptors and their construction."""
