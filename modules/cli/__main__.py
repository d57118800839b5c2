"""``python -m pygenvm.modules.cli``: the console script ``genvm-modules``."""

from __future__ import annotations

import sys

from pygenvm.modules.cli import main

sys.exit(main())
