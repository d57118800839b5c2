"""What hostile contracts do to an executor that is to carry out others after them, and what those look at."""

from __future__ import annotations

import random

#: Carries out the text that it is called with, in a namespace that is the module's; and tells all that it can see.
SOURCE = b"""# v0.2.16
# { "Depends": "py-genlayer:test" }
import builtins, gc, os, random, sys, time
from genlayer import *

kept = []

class Contract(gl.Contract):
    text: str
    numbers: TreeMap[str, u256]

    @gl.public.write
    def do(self, program: str) -> int:
        exec(program, globals(), {"self": self})
        return len(kept)

    @gl.public.write
    def look(self) -> None:
        files = []
        for folder, _, names in os.walk("/"):
            files += [(folder, name, os.stat(os.path.join(folder, name)).st_size) for name in sorted(names)]
        file = open("/contract.py", "rb")
        seen = {
            "module": sorted(globals()), "kept": kept, "builtins": sorted(vars(builtins)), "len": repr(len),
            "modules": list(sys.modules), "path": sys.path, "limit": sys.getrecursionlimit(), "files": files,
            "environment": sorted(os.environ.items()), "argv": sys.argv, "folder": os.getcwd(), "fd": file.fileno(),
            "objects": id(file), "gc": (gc.isenabled(), gc.get_count()), "random": random.random(), "time": time.time(),
            "streams": (sys.stdout.fileno(), sys.stderr.fileno()), "text": self.text, "numbers": len(self.numbers),
            "hash": hash("x"), "depth": len(sys._current_frames()), "balance": self.balance,
        }
        print(seen)
        print("seen", file=sys.stderr)
        # The fingerprint of a failure has a digest of all memory.
        raise ValueError(repr(seen))
"""

#: Each is a program that does not come back in the same way as contracts usually do, or leaves something behind.
PIECES = (
    "builtins.len = lambda x: 42",
    "builtins.__import__ = None",
    "builtins.print = builtins.repr = builtins.id = None",
    "sys.modules.clear()",
    "globals().clear()",
    "kept.append('was here'); gl.kept = kept",
    "sys.path[:] = []; sys.argv[:] = ['x']",
    "os.environ['LEFT'] = 'behind'; os.chdir('/')",
    "sys.setrecursionlimit(10**6)\ndef f(n): return f(n + 1) + 1\nf(0)",
    "def f(n): return f(n + 1) + 1\nf(0)",
    "eval('(' * 5000 + ')' * 5000)",
    "kept.append(b'x' * (40 << 20))",
    "kept.extend(bytes(1 << 20) for _ in range(60))",
    "bytearray(6 << 30)",
    "print('x' * 200_000, end='')",
    "print('no end', end='', flush=True); print('none either', end='', file=sys.stderr, flush=True)",
    "os.write(1, bytes(range(256))); os.write(2, b'\\xff\\x1b[31m')",
    "os.write(1, b'executed with `Return(\"\\\\x00\")`\\n')",
    "kept.extend(os.open('/contract.py', os.O_RDONLY) for _ in range(200))",
    "for fd in range(3, 50):\n    try: os.close(fd)\n    except OSError: pass",
    "os.close(1); os.close(2)",
    "os.close(0); kept.append(open('/contract.py'))",
    "open('/left', 'w').write('behind')",
    "os.mkdir('/left'); os.rename('/contract.py', '/other.py')",
    "os.unlink('/contract.py')",
    "os.kill(os.getpid(), 9)",
    "os.fork()",
    "sys.exit(7)",
    "sys.exit('a text')",
    "os._exit(3)",
    "os._exit(0)",
    "os.abort()",
    "raise KeyboardInterrupt",
    "raise MemoryError",
    "raise SystemExit(2**70)",
    "raise gl.vm.UserError('\\udc80' if False else 'text')",
    "gl.advanced.user_error_immediate('now')",
    "gc.disable(); gc.freeze(); kept.append(kept)",
    "random.seed(1); kept.append(random.random())",
    "class D:\n    def __del__(self): print('deleted')\nkept.append(D())",
    "import atexit; atexit.register(lambda: os.write(1, b'at the end'))",
    "import threading; threading.Thread(target=print).start()",
    "self.text = 'written' * 3000",
    "for n in range(30): self.numbers[str(n)] = u256(n)",
    "gl.vm.spawn_sandbox(lambda: os.abort())",
    "gl.vm.spawn_sandbox(lambda: os._exit(9))",
    "gl.vm.spawn_sandbox(lambda: (builtins.__dict__.clear(), kept.append(1)))",
    "def d(n): return gl.vm.spawn_sandbox(lambda: n and d(n - 1))\nd(4)",
    "gl.vm.run_nondet_unsafe(lambda: os.abort(), lambda result: True)",
    "gl.vm.run_nondet_unsafe(lambda: builtins.__dict__.clear(), lambda result: True)",
    "gl.vm.run_nondet_unsafe(lambda: kept.append(os.urandom(8)) or 1, lambda result: True)",
    "gl.get_contract_at(gl.message.contract_address).view().do('os.abort()')",
    "gl.get_contract_at(gl.message.contract_address).emit().do('kept.append(1)')",
    "import _genlayer_wasi as w\nfor x in dir(w):\n    try: getattr(w, x)(b'\\xff' * 100)\n    except Exception: pass",
    "import signal; signal.signal(15, signal.SIG_IGN)",
    "compile('x = 1\\n' * 20000, 'x', 'exec'); kept.append([[]] * 100_000)",
)


def program(number: int) -> str:
    """Some of them, one after the other; only the last may fail."""
    chosen = random.Random(number)
    pieces = chosen.choices(PIECES, k=chosen.choice((1, 1, 2, 3)))
    caught = (f"try:\n    exec({piece!r}, globals(), locals())\nexcept BaseException: pass" for piece in pieces[:-1])
    return "\n".join((*caught, pieces[-1]))
