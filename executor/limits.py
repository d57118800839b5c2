"""Every limit of the executor, in one place. Protocol limits cite their section; the others are ours.

A limit is never a literal in the middle of the code.
"""

from __future__ import annotations
