"""Pages that a fork has in common with its parent, and then no more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pools need Linux")

#: Faults of a fork that writes to all pages of its parent, without and with copying them before.
PROGRAM = """
import ctypes, mmap, os, resource
from pygenvm.executor.pool import pages

shared = bytearray(os.urandom(8 << 20))
unused = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE)

def faults(copied):
    reading, writing = os.pipe()
    if os.fork() == 0:
        if copied:
            pages.own_all()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        for place in range(0, len(shared), mmap.PAGESIZE):
            shared[place] ^= 1
        now = resource.getrusage(resource.RUSAGE_SELF)
        # What was never written takes no memory.
        os.write(writing, b"%d %d" % (now.ru_minflt - usage.ru_minflt, now.ru_maxrss < 60 << 10))
        os._exit(0)
    os.wait()
    return os.read(reading, 64).decode()

can = ctypes.CDLL(None).madvise(ctypes.c_size_t(ctypes.addressof(ctypes.c_char.from_buffer(unused))), 4096, 23) == 0
print(int(can), faults(False), faults(True))
"""


def test_a_fork_that_owns_its_pages_has_no_faults() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True)
    can, before, small_before, after, small = map(int, done.stdout.split())
    if not can:
        pytest.skip("this kernel cannot")
    assert before > 2000
    assert after < 100
    assert (small_before, small) == (1, 1)
