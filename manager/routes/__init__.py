"""The routes of the manager, by what they are about (spec modules/04 §2)."""
