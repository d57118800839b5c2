"""Start-up of a contract process."""
