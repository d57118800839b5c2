"""Many runs of many clients at a time (:mod:`tests.manager.load` does more of it by hand)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.manager.load import carry_out
from tests.manager.process import manager_process
from tests.support.execution import config_file
from tests.support.machine import Script, machine
from tests.support.running import ROOT


@pytest.mark.slow
def test_many_runs_of_many_clients(tmp_path: Path) -> None:
    with manager_process(tmp_path, config={"executor_config": str(config_file(tmp_path))}) as manager:
        data = Script().storage_write(ROOT, 0, b"abcd").code
        load = carry_out(manager, machine(), data, 150, 32, kills=3)
        load.check(150)
        assert load.killed <= 3
        assert load.resident[-1] - load.resident[1] < 30 << 20
        assert manager.end() == 0
        assert manager.stderr.read_text() == ""
