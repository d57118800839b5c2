"""A longer campaign of random runs, by hand: ``python -m tests.hostile.campaign SECONDS [FIRST_SEED]``.

Prints what runs ended with, and every seed that broke a rule. Exit code 1 if one did.
"""

from __future__ import annotations

import itertools
import random
import sys
import time
import traceback
from collections import Counter

from tests.hostile.hostile_random import RUNS


def main(seconds: float, first: int) -> int:
    deadline = time.monotonic() + seconds
    ends: Counter[tuple[str, str]] = Counter()
    failures: list[tuple[str, int]] = []
    for seed in itertools.count(first):
        if time.monotonic() > deadline:
            break
        for sort, run in RUNS.items():
            # Runs of the real command take ten times as long as those in this process.
            for step in range(1 if sort == "lying" else 10):
                try:
                    label = run(random.Random(f"{seed} {step}"))
                except Exception:
                    failures.append((sort, seed))
                    print(f"--- {sort}, seed {seed} {step}", flush=True)
                    traceback.print_exc()
                else:
                    ends[sort, label] += 1
    for (sort, label), count in sorted(ends.items()):
        print(f"{count:6} {sort}: {label}")
    print(f"{ends.total()} runs, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
