"""Runs one file of tests with pytest in the sandbox and prints a JSON line of what came of each test."""

import io
import json
import os
import sys
import warnings

import pytest

os.getuid = os.geteuid = lambda: 0  # pytest asks whose the temporary folder is


class Report:
    def __init__(self):
        self.count = {}
        self.failed = {}
        self.skipped = {}

    def pytest_runtest_logreport(self, report):
        expected = hasattr(report, "wasxfail")
        if report.when == "call" or report.outcome != "passed":
            kind = "xfailed" if expected and report.skipped else report.outcome
            if report.when != "call" and report.failed:
                kind = "error"
            self.count[kind] = self.count.get(kind, 0) + 1
            if kind == "skipped":
                reason = report.longrepr[2].removeprefix("Skipped: ")
                self.skipped[reason] = self.skipped.get(reason, 0) + 1
            if report.failed:
                crash = getattr(report.longrepr, "reprcrash", None)
                text = crash.message if crash else str(report.longrepr)
                self.failed[report.nodeid.split("::", 1)[-1]] = text.strip().split("\n")[0][:200]

    def pytest_collectreport(self, report):
        if report.failed:
            self.count["collection error"] = 1
            self.failed["(collection)"] = str(report.longrepr).strip().split("\n")[-1][:200]


def run(path, *, folder):
    """Runs the file, with `folder` as the one that the process is in, and ends the process."""
    os.chdir(folder)
    report = Report()
    warnings.simplefilter("ignore")
    options = ["-q", "-q", "-m", "not slow", "--capture=sys", "--tb=short", "--no-header", "-W", "ignore"]
    for plugin in ("cacheprovider", "faulthandler", "unraisableexception", "threadexception"):
        options += ["-p", f"no:{plugin}"]
    options += ["--basetemp=/tmp/t", "--rootdir=/lib", "-c", "/site/pytest.ini"]
    stdout, sys.stdout = sys.stdout, io.StringIO()
    status = pytest.main([*options, path], plugins=[report])
    if not report.count:
        report.count["collection error"] = 1
        report.failed["(all)"] = f"pytest ended with {status!r}: {sys.stdout.getvalue()[-300:]}"
    found = {"count": report.count, "failed": report.failed, "skipped": report.skipped}
    print(json.dumps(found), file=stdout, flush=True)
    os._exit(0)
