"""A longer campaign of random runs, by hand: ``python -m tests.hostile.campaign SECONDS [FIRST_SEED]``.

Prints what runs ended with, every seed that broke a rule, and the peak resident memory of the executors that were
processes, which has a bound too. Exit code 1 if a rule was broken.
"""

from __future__ import annotations

import itertools
import random
import sys
import time
import traceback
from collections import Counter

from tests.hostile.hostile_random import RUNS, THROUGH_THE_COMMAND
from tests.hostile.hostile_runs import EXECUTOR_BYTES, MIB


def main(seconds: float, first: int) -> int:
    deadline = time.monotonic() + seconds
    ends: Counter[tuple[str, str]] = Counter()
    failures: list[tuple[str, int]] = []
    peak, of = 0, "no run"
    for seed in itertools.count(first):
        if time.monotonic() > deadline:
            break
        for sort, run in RUNS.items():
            # Runs of the real command take ten times as long as those in this process.
            for step in range(1 if sort in THROUGH_THE_COMMAND else 10):
                try:
                    label, bytes_ = run(random.Random(f"{seed} {step}"))
                    if bytes_ is not None and bytes_ > peak:
                        peak, of = bytes_, f"{sort}, seed {seed} {step}"
                    assert (bytes_ or 0) <= EXECUTOR_BYTES, f"the executor took {bytes_} bytes"
                except Exception:
                    failures.append((sort, seed))
                    print(f"--- {sort}, seed {seed} {step}", flush=True)
                    traceback.print_exc()
                else:
                    ends[sort, label] += 1
    for (sort, label), count in sorted(ends.items()):
        print(f"{count:6} {sort}: {label}")
    print(f"peak resident memory of an executor: {peak // MIB} of {EXECUTOR_BYTES // MIB} MiB ({of})")
    print(f"{ends.total() + len(failures)} runs, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
