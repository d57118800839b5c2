"""`genvm runners`: builds, lists and verifies the built-in runners."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from pygenvm.executor.config import ConfigError, cache_root, load_config
from pygenvm.executor.shortage import explained
from pygenvm.runners import recipes, registry
from pygenvm.runners.errors import BuildError
from pygenvm.runners.numeric import pins

EPILOG = """\
The first build downloads and compiles CPython and takes a few minutes; everything is kept below the cache folder
($PYGENVM_CACHE, or ~/.cache/pygenvm), and a second build does nothing. Without a network, put the source archives into
a folder and set PYGENVM_SOURCES to it.

exit codes: 0 done; 1 it did not work; 2 bad command line; 4 done, but the output could not be printed; 130 interrupted
"""

_UNPINNED = (
    "Contracts that use NumPy would not find the archives that were built. If you have changed what goes into them (the"
    " interpreter, the SDK, NumPy's build, the snapshot), run `genvm runners pin` and commit the file. If you have"
    " changed nothing, the build is not reproducible here: please tell us the platform and the version of Python."
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers `runners` and its subcommands."""
    text = "build, list and verify the built-in runners"
    parser = subparsers.add_parser(
        "runners",
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="runners_command", required=True, metavar="COMMAND")

    build = commands.add_parser(
        "build", help="build what is missing", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    build.add_argument("--jobs", type=_positive, metavar="N", help="compilers at a time (default: one per core)")
    what = build.add_mutually_exclusive_group()
    what.add_argument("--plain", action="store_true", help="leave out NumPy and Pillow, which are built when needed")
    what.add_argument("--only", choices=recipes.runner_ids(), metavar="ID", help="this runner and what it depends on")
    mode = build.add_mutually_exclusive_group()
    mode.add_argument("--force", action="store_true", help="build even what is there")
    mode.add_argument(
        "--check", action="store_true", help="build twice from nothing in new folders and compare the archives' hashes"
    )

    commands.add_parser(
        "pin",
        help="build the runners with NumPy and Pillow, and write their hashes where other archives take them from",
    )

    show = commands.add_parser("list", help="show the runners of the registry")
    show.add_argument("--json", action="store_true", help="as JSON")

    commands.add_parser("verify", help="compare every archive with its hash")


def run(args: argparse.Namespace) -> int:
    """Exit code: 0, or 1 with a text on stderr."""
    try:
        # Nothing in it is for these commands, but a damaged one is not passed over.
        load_config(args.config)
        if args.runners_command == "build":
            return _check(args) if args.check else _build(args)
        if args.runners_command == "pin":
            return _pin()
        return _list(args.json) if args.runners_command == "list" else _verify()
    except (BuildError, ConfigError, OSError) as error:
        if not args.interrupted():
            print(explained(error), file=sys.stderr)
            return 1
    except KeyboardInterrupt:
        pass
    print("Interrupted. Finished steps are kept; `genvm runners build` continues here.", file=sys.stderr)
    return 130


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _build(args: argparse.Namespace) -> int:
    jobs = args.jobs or registry.default_jobs()
    built = registry.build(jobs=jobs, only=args.only, plain=args.plain, force=args.force)
    for runner, name in built.latest.items():
        print(f"{runner}:{name}")
    if others := pins.differences(built.latest):
        print(f"{others}\n{_UNPINNED}", file=sys.stderr)
        return 1
    return 0


def _pin() -> int:
    built = registry.build(jobs=registry.default_jobs(), only="cpython-genlayer-numeric")
    pins.pin({runner: built.latest[runner] for runner in pins.pinned()})
    print(f"{pins.FILE} is written. Now `genvm runners build` makes the runners of contracts that name them.")
    return 0


def _check(args: argparse.Namespace) -> int:
    """Two builds from nothing, in folders with names of different lengths; only the downloads are shared."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    jobs = args.jobs or registry.default_jobs()
    found: list[dict[str, str]] = []
    for prefix in ("check-", "check-in-another-folder-"):
        folder = Path(tempfile.mkdtemp(dir=root, prefix=prefix))
        try:
            built = registry.build_below(folder, root / "sources", jobs=jobs, only=args.only, plain=args.plain)
            found.append(dict(built.latest))
        finally:
            shutil.rmtree(folder)
    first, second = found
    for runner, name in first.items():
        print(f"{'same' if second[runner] == name else 'DIFFERENT'} {runner}:{name} {second[runner]}")
    return 0 if first == second else 1


def _list(as_json: bool) -> int:
    built = registry.BuiltRunners(cache_root(), {})
    every, latest = registry.read_all(built.registry_dir), registry.read_latest(built.registry_dir)
    if as_json:
        print(json.dumps({"all": every, "latest": latest}, indent=2, sort_keys=True))
        return 0
    if not every:
        print(f"No runners in {built.registry_dir}. Run `genvm runners build`.", file=sys.stderr)
        return 1
    for runner, names in sorted(every.items()):
        for name in reversed(names):
            path = registry.archive_path(built.runners_dir, runner, name)
            size = f"{path.stat().st_size:>12,} bytes" if path.is_file() else "missing"
            print(f"{runner}:{name}  {size}{'  latest' if latest.get(runner) == name else ''}")
    return 0


def _verify() -> int:
    root = cache_root()
    count, problems = registry.verify(root)
    for line in problems:
        print(line, file=sys.stderr)
    if problems:
        print(
            "What to do: remove the archives that are wrong and run `genvm runners build`, which puts the current ones "
            "back. An old one that is missing can be taken out of all.json.",
            file=sys.stderr,
        )
        return 1
    if not count:
        print(f"No runners in {root / 'registry'}. Run `genvm runners build`.", file=sys.stderr)
        return 1
    print(f"{count} archives are what their names say.")
    return 0
