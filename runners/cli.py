"""`genvm runners`: builds, lists, verifies and carries the built-in runners."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from pygenvm.executor.config import ConfigError, cache_root, load_config
from pygenvm.executor.outcome import InternalErrorRaised, InvalidContract
from pygenvm.executor.run.process import artefacts_dir
from pygenvm.executor.shortage import explained
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.terminal_text import one_line, visible
from pygenvm.runners import modules, recipes, registry, travel
from pygenvm.runners.errors import BuildError
from pygenvm.runners.numeric import pins
from pygenvm.runners.progress import shown_progress
from pygenvm.runners.workshop import Workshop

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


EXPORT_EPILOG = """Runners that are not built yet are built first. The file's SHA-256 is printed, to be compared
where the file is imported."""

IMPORT_EPILOG = """Every archive is compared with its hash; where one differs, nothing is taken over. That does not tell
who has made the file: compare its SHA-256, which is printed, with the one that `export` has printed."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers `runners` and its subcommands."""
    text = "build, list, verify and carry the built-in runners"
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

    text = "write the runners into one file, which other machines import"
    export = commands.add_parser(
        "export", help=text, description=text[0].upper() + text[1:] + ".", epilog=EXPORT_EPILOG
    )
    export.add_argument("file", type=Path, metavar="FILE", help="the file; one that is there is replaced")
    which = export.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="those of other versions that are here too")
    which.add_argument("--only", choices=recipes.runner_ids(), metavar="ID", help="this runner and what it depends on")
    export.add_argument("--modules", action="store_true", help="with compiled modules for machines of this platform")

    text = "take over the runners of a file that `genvm runners export` has made"
    take = commands.add_parser("import", help=text, description=text[0].upper() + text[1:] + ".", epilog=IMPORT_EPILOG)
    take.add_argument("file", type=Path, metavar="FILE", help="the file")
    take.add_argument(
        "--modules", action="store_true", help="with its compiled modules: native code, so trust who has made the file"
    )

    text = "show the licences of what is in the runners"
    show = commands.add_parser("licences", help=text, description=text[0].upper() + text[1:] + ".")
    show.add_argument("runner", nargs="?", metavar="ID", help="of this runner only")
    show.add_argument("--text", action="store_true", help="with the texts")


def run(args: argparse.Namespace) -> int:
    """Exit code: 0, or 1 with a text on stderr."""
    try:
        # Only imports need it, but a damaged one is not passed over.
        config = load_config(args.config)
        if args.runners_command == "build":
            return _check(args) if args.check else _build(args)
        match args.runners_command:
            case "pin":
                return _pin()
            case "list":
                return _list(args.json)
            case "export":
                return _export(args)
            case "import":
                return _import(args.file, Path(artefacts_dir(config)) if args.modules else None)
            case "licences":
                return _licences(args.runner, args.text)
        return _verify()
    except InvalidContract as error:
        print(f"An archive is malformed: {one_line(error.error.cause)}", file=sys.stderr)
        return 1
    except (BuildError, ConfigError, InternalErrorRaised, OSError) as error:
        if not args.interrupted():
            print(explained(error), file=sys.stderr)
            return 1
    except KeyboardInterrupt:
        pass
    built = args.runners_command in ("build", "export")
    continues = " Finished steps are kept; `genvm runners build` continues here." if built else ""
    print(f"Interrupted.{continues}", file=sys.stderr)
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
    built = registry.installed_runners()
    every, latest = registry.read_every(built.roots), built.latest
    if as_json:
        print(json.dumps({"all": every, "latest": dict(latest)}, indent=2, sort_keys=True))
        return 0
    if not every:
        print(f"No runners in {built.registry_dir}. Run `genvm runners build`.", file=sys.stderr)
        return 1
    for runner, names in sorted(every.items()):
        for name in reversed(names):
            path = built.find(runner, name)
            size = f"{path.stat().st_size:>12,} bytes" if path.is_file() else "missing"
            print(f"{runner}:{name}  {size}{'  latest' if latest.get(runner) == name else ''}")
    return 0


def _verify() -> int:
    built = registry.installed_runners()
    count, problems = registry.verify(built)
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
        print(f"No runners in {built.registry_dir}. Run `genvm runners build`.", file=sys.stderr)
        return 1
    print(f"{count} archives are what their names say.")
    return 0


def _export(args: argparse.Namespace) -> int:
    jobs = registry.default_jobs()
    built = registry.build(jobs=jobs, only=args.only) if args.only else registry.ensure_built()
    registry.collect_licences(built, jobs)
    archives = registry.read_every(built.roots) if args.all else travel.current(built)
    used = modules.used_modules(built, archives) if args.modules else []
    with shown_progress(sum(map(len, archives.values())) + len(used)) as progress:
        compiled = modules.compiled(used, modules.folder(), progress)
        digest = travel.export(built, archives, compiled, args.file, progress)
    print(f"{args.file}: {args.file.stat().st_size:,} bytes, SHA-256 {digest}")
    return 0


def _import(path: Path, artefacts: Path | None) -> int:
    root = cache_root()
    workshop = Workshop(root, root / "sources", registry.default_jobs())
    store = ArtefactStore(artefacts) if artefacts else None
    with path.open("rb") as file:
        exported = travel.ExportedFile(file, str(path))
        with workshop.exclusive(visible=True), shown_progress(len(exported.archives)) as progress:
            done = travel.import_file(exported, root, travel.own_keys(), progress, store)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    for runner in done.new:
        print(runner)
    print(f"{len(done.new)} archives are new here, {len(done.known)} were here already. SHA-256 of the file: {digest}")
    if store is None and exported.has_modules:
        print("Its compiled modules were not taken over; `--modules` does that, if you trust who has made the file.")
    if store is not None:
        print(f"{done.modules} compiled modules are of use here, {done.modules_refused} are not or are missing.")
    return 0


def _licences(runner: str | None, with_texts: bool) -> int:
    built = registry.installed_runners()
    registry.collect_licences(built, registry.default_jobs())
    found = built.licences()
    archives = {
        f"{name}:{built.latest[name]}": found.archives.get(f"{name}:{built.latest[name]}", ())
        for name in sorted(built.latest)
        if runner in (None, name)
    }
    if not archives:
        print(f"No {f'runner {runner}' if runner else 'runners'} in {built.registry_dir}.", file=sys.stderr)
        return 1
    for archive, components in archives.items():
        print(f"{archive}  {', '.join(components) or 'not collected: not made by the recipes of this version'}")
    for component in sorted({component for components in archives.values() for component in components}):
        about = found.components[component]
        print(f"\n{component}: {one_line(about['what'])}\n  {one_line(about['licence'])}")
        for name, path in found.texts(component):
            if with_texts:
                print(f"\n--- {component}/{name}\n{visible(path.read_text(encoding='utf-8', errors='replace'))}")
            else:
                print(f"  {path}")
    return 0
