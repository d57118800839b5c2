"""Hashes, encodings and Merkle trees: bytes in, bytes out, no state (spec settlement/02)."""
