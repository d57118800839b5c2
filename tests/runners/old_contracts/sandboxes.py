# { "Depends": "py-genlayer:15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0" }

from genlayer import *

import typing


def outcome(fn: typing.Callable[[], typing.Any]) -> str:
    try:
        return f"returned {gl.advanced.sandbox(fn)}"
    except Rollback as error:
        return f"rolled back: {error} {error.msg} {error.args} {error!r}"


def by_name() -> str:
    raise Rollback("by name")


class Sandboxes(gl.Contract):
    def __init__(self):
        pass

    @gl.public.write
    def run(self) -> list[str]:
        def immediate():
            gl.advanced.rollback_immediate("at once")

        def nested():
            return gl.sandbox(lambda: gl.advanced.sandbox.lazy(lambda: 20).get() + 1) + 1

        return [
            outcome(lambda: 1),
            outcome(by_name),
            outcome(immediate),
            outcome(nested),
            outcome(lambda: exit(3)),
            outcome(lambda: gl.rollback_immediate("of gl")),
        ]

    @gl.public.write
    def leave(self) -> None:
        try:
            gl.rollback_immediate("nothing catches it")
        except BaseException:
            pass

    @gl.public.view
    def kinds(self) -> list[bool]:
        error = Rollback("x")
        return [
            isinstance(error, Exception),
            Rollback("x") == error,
            error in {error},
            gl.advanced.ContractReturn(5).data == 5,
            gl.advanced.ContractError("timeout").data == "timeout",
            Rollback(msg="y").msg == str(Rollback(msg="y")) == "y",
        ]
