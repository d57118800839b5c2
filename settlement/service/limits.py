"""Every bound of the service."""

from __future__ import annotations

from typing import Final

# --- requests ---

#: A prompt in hexadecimal, and a transaction.
BODY_BYTES: Final = (2 << 20) + (64 << 10)
REQUEST_SECONDS: Final = 30.0
JSON_DEPTH: Final = 32
KEEP_ALIVE_SECONDS: Final = 75.0
SHUTDOWN_SECONDS: Final = 5.0

# --- prompts ---

PROMPT_BYTES: Final = 1 << 20
#: Of those whose intent waits for a block, and the bytes of them all.
PROMPTS_WAITING: Final = 512
PROMPTS_WAITING_BYTES: Final = 64 << 20

# --- reading ---

READERS: Final = 4
#: Elements of one list.
PAGE: Final = 1000
#: How many transactions the service remembers the end of.
OUTCOMES: Final = 1 << 14

# --- events ---

WATCHERS: Final = 256
WATCHER_EVENTS: Final = 4096
HEARTBEAT_SECONDS: Final = 10.0

# --- blocks ---

#: Blocks that one request may ask for.
BLOCKS_AT_ONCE: Final = 200
