"""What of this folder is not collected: a project of its own, run by test_project.py."""

from __future__ import annotations

collect_ignore = ["project"]
