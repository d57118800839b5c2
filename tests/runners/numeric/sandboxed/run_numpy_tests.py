"""Runs one file of NumPy's tests with pytest in the sandbox and prints a JSON line of what came of each test."""

import io
import json
import os
import sys
import warnings

import pytest

os.chdir("/tmp")
os.getuid = os.geteuid = lambda: 0  # pytest asks whose the temporary folder is


class Nothing:
    """Stands for everything in hypothesis, which has a native module, so that its tests are skipped; and for mmap."""

    __path__ = ()

    def __getattr__(self, name):
        return Nothing()

    def __call__(self, *_, **__):
        return Nothing()

    def __iter__(self):
        return iter(())

    def __or__(self, other):
        return Nothing()


def given(*_, **__):
    return lambda test: pytest.mark.skip("hypothesis")(lambda: None)


def unchanged(*_, **__):
    return lambda test: test


unchanged.register_profile = unchanged.load_profile = lambda *_, **__: None
for name in ("", ".strategies", ".extra", ".extra.numpy", ".configuration"):
    sys.modules[f"hypothesis{name}"] = Nothing()
hypothesis = sys.modules["hypothesis"]
sys.modules["mmap"] = Nothing()
hypothesis.given, hypothesis.settings, hypothesis.example = given, unchanged, unchanged


class Report:
    def __init__(self):
        self.count = {}
        self.failed = {}

    def pytest_runtest_logreport(self, report):
        expected = hasattr(report, "wasxfail")
        if report.when == "call" or report.outcome != "passed":
            kind = "xfailed" if expected and report.skipped else report.outcome
            if report.when != "call" and report.failed:
                kind = "error"
            self.count[kind] = self.count.get(kind, 0) + 1
            if report.failed:
                crash = getattr(report.longrepr, "reprcrash", None)
                text = crash.message if crash else str(report.longrepr)
                self.failed[report.nodeid.split("::", 1)[-1]] = text.strip().split("\n")[0][:200]

    def pytest_collectreport(self, report):
        if report.failed:
            self.count["collection error"] = 1
            self.failed["(collection)"] = str(report.longrepr).strip().split("\n")[-1][:200]


report = Report()
warnings.simplefilter("ignore")
options = ["-q", "-q", "-m", "not slow", "--capture=sys", "--tb=short", "--no-header", "-W", "ignore", "--rootdir=/np"]
options += [
    "-p",
    "no:cacheprovider",
    "-p",
    "no:faulthandler",
    "-p",
    "no:unraisableexception",
    "-p",
    "no:threadexception",
]
options += ["--basetemp=/tmp/t", "-c", "/np/pytest.ini"]
stdout, sys.stdout = sys.stdout, io.StringIO()
status = pytest.main([*options, sys.argv[1]], plugins=[report])
if not report.count:
    report.count["collection error"] = 1
    report.failed["(all)"] = f"pytest ended with {status!r}: {sys.stdout.getvalue()[-300:]}"
print(json.dumps({"count": report.count, "failed": report.failed}), file=stdout, flush=True)
os._exit(0)
