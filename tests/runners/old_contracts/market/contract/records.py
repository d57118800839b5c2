from dataclasses import dataclass

from genlayer import *


@allow_storage
@dataclass
class Quote:
    url: str
    cents: u64
