"""Named bounds of the services: nothing that a client, a script, a model or a page does is without one."""

from __future__ import annotations
