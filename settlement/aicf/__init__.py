"""What of the AI Compute Fund is certain enough to be computed: identifiers and the split (spec settlement/04)."""
