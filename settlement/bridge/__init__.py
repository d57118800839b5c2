"""From executors to settlement (docs/settlement.md): nondet rounds as tasks, votes as commits and reveals, records."""
