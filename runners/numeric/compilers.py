"""The compilers of NumPy, Pillow and what is linked with them: :mod:`runners.toolchain`'s with headers of our own."""

from __future__ import annotations

from pathlib import Path

from pygenvm.runners import toolchain
from pygenvm.runners.workshop import Work, digest_files

_HERE = Path(__file__).parent
INCLUDE = _HERE / "include"
SOURCE = _HERE / "src"

# What is to become a shared library is not linked: its objects are, later, into the interpreter.
_SCRIPT = """\
#!/bin/sh
features={features}
left=$#
out= shared= object=
while [ "$left" -gt 0 ]; do
    word=$1
    shift
    left=$((left - 1))
    case $word in
        -E) features= ;;
        -fPIC | -Wl,-soname,*) continue ;;
        -shared) shared=1 ;;
        -o) out=next ;;
        *) [ "$out" = next ] && out=$word ;;
    esac
    set -- "$@" "$word"
done
if [ -n "$shared" ]; then
    : >"$out"
    exit
fi
exec "{zig}" {language} -target {target} $features -g0 -fno-sanitize=all -I"{include}" "$@"
"""


def digest() -> str:
    """Changes when what :func:`write_compilers` writes does, or the headers."""
    return digest_files([Path(__file__), INCLUDE])


def write_compilers(work: Work) -> None:
    """Adds `numeric-cc` and `numeric-c++` to the step's folder on PATH, and those of :mod:`runners.toolchain`."""
    toolchain.write_compilers(work)
    zig = toolchain.zig(work.workshop.folder(toolchain.zig_step()))
    include = work.folder / "include"
    include.mkdir()
    for header in INCLUDE.iterdir():
        (include / header.name).write_bytes(header.read_bytes())
    for name, language in (("numeric-cc", "cc"), ("numeric-c++", "c++")):
        path = work.bin / name
        path.write_text(
            _SCRIPT.format(
                zig=zig,
                language=language,
                target=toolchain.WASM_TARGET,
                features=toolchain.WASM_FEATURES,
                include=include,
            ),
            encoding="utf-8",
        )
        path.chmod(0o755)
