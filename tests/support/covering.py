"""How much of the lines of a part its own tests must reach. The others run without being watched, which is faster.

So it is where `make test` asks for the coverage of exactly :data:`SOURCES`; with any other ``--cov`` of pytest all are
watched.
"""

#: In per cent.
PERCENT = 90
#: By part: where its code is, and where its tests are.
COVERED = {
    "calldata": (
        "executor/primitives/calldata.py,executor/primitives/uleb.py,executor/primitives/address.py",
        "tests/executor/primitives/",
    ),
    "host protocol": ("executor/host_protocol/*", "tests/executor/host_protocol/"),
    "wasip1": ("executor/subvm/wasip1/*", "tests/executor/subvm/wasip1/"),
    "archives": ("executor/runner/*", "tests/executor/runner/"),
}
#: Where all that code is.
SOURCES = ["executor/primitives", "executor/host_protocol", "executor/subvm/wasip1", "executor/runner"]
