"""The core task VM: off-consensus, and none of the quorum engine's business (spec settlement/03 §1, §6)."""
