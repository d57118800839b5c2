"""Host calls and the contract's storage."""
