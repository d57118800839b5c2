"""Pillow's own test-suite in the sandbox; see :mod:`tests.runners.numeric.suite`."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from pygenvm.runners import sources as pinned
from pygenvm.runners.numeric import images, numpy_library
from pygenvm.runners.unpack import unpack_tar
from pygenvm.runners.workshop import Step
from tests.runners.numeric.suite import Suite, main

#: Tests of what is not built (fonts of FreeType, colour management, formats), of other packages, programs and windows.
_LEFT_OUT = re.compile(
    r"test_(arro3|nanoarrow|pyarrow|file_(avif|fpx|jpeg2k|libtiff|mic)|font_(crash|leaks)|imagefont(ctl)?\b|imagetext"
    r"|imagecms|imagegrab|imageqt|imageshow|imagetk|imagewin|qt_|image_fromqimage|main|shell_injection|uploader"
    r"|webp_leaks)"
)


class PillowSuite(Suite):
    """Pillow as it is built, and the tests of its source archive, some of which need NumPy."""

    driver = "run_pillow_tests.py"

    def steps(self) -> list[Step]:
        """Pillow and NumPy."""
        return [images.step(), numpy_library.step()]

    def fill(self, folder: Path, libraries: list[Path], sources: Path) -> None:
        """The tests are a package beside the libraries; they open their pictures from the folder that it is in."""
        for library, part in zip(libraries, (images.PYTHON, numpy_library.PYTHON), strict=True):
            shutil.copytree(library / part, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("tests"))
        archive = pinned.fetch(pinned.source("pillow"), sources)
        unpack_tar(archive, folder, lambda path: path if path.parts[0] == "Tests" else None)

    def tests(self) -> list[Path]:
        """All but those of parts that the sandbox does not have."""
        found = (self.folder / "lib" / "Tests").glob("test_*.py")
        return [path for path in found if not _LEFT_OUT.match(path.name)]


if __name__ == "__main__":
    sys.exit(main(PillowSuite, "Pillow's own test-suite in the sandbox's interpreter"))
