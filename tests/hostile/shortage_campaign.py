"""Random runs on a machine that is short of something, by hand.

``python -m tests.hostile.shortage_campaign RUNS [SEED]`` takes that many seeds, from ``SEED`` on, or from 0: each is a
call of an example or a hostile contract, and something that is short (:mod:`tests.hostile.hostile_shortage`).
Prints how runs ended by what was short, and each seed that broke a rule with how to repeat it. Exit code 1 if one did.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.hostile.hostile_shortage import Machine

_SECONDS_PER_LINE = 10.0


def main(runs: int, first: int) -> int:
    ends: Counter[tuple[str, str]] = Counter()
    failures: list[int] = []
    told = time.monotonic()
    with Machine() as machine:
        for seed in range(first, first + runs):
            try:
                end = machine.run(seed)
            except Exception as error:
                failures.append(seed)
                print(f"--- seed {seed}: {type(error).__name__}: {error}", flush=True)
            else:
                ends[end.shortage.kind, end.how] += 1
            if time.monotonic() > told + _SECONDS_PER_LINE or runs == 1:
                told = time.monotonic()
                done = f"{seed - first + 1} of {runs} runs, {len(failures)} failures"
                print(f"{done}; last {end.subject}, {end.shortage}: {end.how}", flush=True)
    for (kind, how), count in sorted(ends.items()):
        print(f"{count:6} {kind}: {how}")
    print(f"{runs} runs, {len(failures)} failures")
    for seed in failures:
        print(f"repeat with: python -m tests.hostile.shortage_campaign 1 {seed}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
