"""From executors to settlement. So far: transcripts of nondet blocks, out of records of runs (docs/settlement.md)."""
