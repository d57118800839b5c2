"""Measures what design §7 promises, each row beside its yardstick in the same run (`python -m benchmarks --help`)."""
