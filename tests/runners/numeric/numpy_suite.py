"""NumPy's own test-suite in the sandbox; see :mod:`tests.runners.numeric.suite`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from pygenvm.runners.numeric import numpy_library
from pygenvm.runners.workshop import Step
from tests.runners.numeric.suite import Suite, main

_LEFT_OUT = ("f2py", "typing", "distutils", "_pyinstaller", "ctypeslib")


class NumpySuite(Suite):
    """NumPy, whose tests are inside the package."""

    driver = "run_numpy_tests.py"
    numpy_test_modules = True

    def steps(self) -> list[Step]:
        """NumPy."""
        return [numpy_library.step()]

    def fill(self, folder: Path, libraries: list[Path], sources: Path) -> None:
        """NumPy has its tests with it."""
        shutil.copytree(libraries[0] / numpy_library.PYTHON, folder, dirs_exist_ok=True)

    def tests(self) -> list[Path]:
        """All but those of parts that the sandbox does not have."""
        found = (self.folder / "lib").rglob("tests/test_*.py")
        return [path for path in found if not set(path.parts) & set(_LEFT_OUT)]


if __name__ == "__main__":
    sys.exit(main(NumpySuite, "NumPy's own test-suite in the sandbox's interpreter"))
