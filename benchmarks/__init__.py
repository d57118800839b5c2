"""Measures what docs/performance.md promises, each row beside its yardstick (`python -m benchmarks --help`)."""
