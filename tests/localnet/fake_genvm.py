"""A program with the command line of ``genvm run``; what it does is the method of the calldata."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from typing import Any

from pygenvm.executor.host_protocol.client import HostClient
from pygenvm.executor.outcome import Return, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.run.printing import result_line


def finish(host: HostClient, value: Any) -> None:
    outcome = Return(calldata.encode(value))
    print(result_line(outcome), flush=True)
    host.consume_result(outcome.to_bytes())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--log-fd", type=int)
    parser.add_argument("command", choices=["run"])
    for option in ("--host", "--message", "--permissions", "--host-data", "--print"):
        parser.add_argument(option)
    parser.add_argument("--debug-mode", action="store_true")
    parser.add_argument("--sync", action="store_true")
    options = parser.parse_args()
    host = HostClient.connect(options.host)
    call: Any = calldata.decode(host.get_calldata())
    match call.get("method"):
        case "options":
            os.write(options.log_fd, b'{"message":"log"}\n')
            found = {"permissions": options.permissions, "sync": options.sync, "host_data": options.host_data}
            print("out", flush=True)
            print("err", file=sys.stderr, flush=True)
            finish(host, found)
        case "long_result":
            sys.stdout.write("before ")
            finish(host, "executed with `" + "x" * 300_000)
        case "unfinished_line":
            sys.stdout.write("no newline")
            finish(host, "executed with `Return")
        case "flood":
            flood(host)
        case "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        case "start_error":
            sys.exit("Error: no runners")
        case "exit":
            sys.exit("oops")
        case "abort":
            os.kill(os.getpid(), signal.SIGABRT)
        case "garbage":
            host._socket.sendall(b"\xff" * 100)
            time.sleep(600)
        case "oversized":
            host._socket.sendall(b"\3" + b"\xff" * 4)
            sys.exit("Error: the host did not take the result: closed by the host")
        case "leave_child":
            finish(host, subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)
        case "hold":
            with open(call["args"][0], "w") as started:
                started.write(str(os.getpid()))
            time.sleep(600)
        case _:
            finish(host, None)


def flood(host: HostClient) -> None:
    """Writes until it is told to end."""
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    while not ended:
        os.write(1, b"x" * 65536)
        os.write(2, b"y" * 100)
    outcome = VMError("timeout")
    os.write(1, (result_line(outcome) + "\n").encode())
    host.consume_result(b"\x02" + calldata.encode({"fingerprint": None, "message": "timeout"}))


if __name__ == "__main__":
    main()
