# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

from genlayer import *

EXAMPLES = (0, 1, 2, 10)


def evaluate(code: str, x: int) -> int:
    """Runs code that nobody has read; only inside of a sandbox."""
    scope: dict[str, object] = {"x": x}
    exec(code, scope)
    result = scope["result"]
    if not isinstance(result, int):
        raise TypeError("result must be an integer")
    return result


class Formula(gl.Contract):
    """A language model turns a description into Python code, which is run in a sandbox without any rights."""

    code: str

    def __init__(self) -> None:
        self.code = "result = x"

    @gl.public.write
    def describe(self, description: str) -> str:
        prompt = (
            "Write Python code that computes an integer `result` from an integer `x`. No imports.\n"
            f"What it computes: {description}\nAnswer with the code only."
        )

        def write_code() -> str:
            code = gl.nondet.exec_prompt(prompt).strip()
            if not all(isinstance(result, gl.vm.Return) for result in try_out(code)):
                raise gl.vm.UserError("the generated code does not work")
            return code

        def does_the_same(leader: gl.vm.Result[str]) -> bool:
            # Two programs hardly ever look alike; it is enough that they give the same answers.
            return isinstance(leader, gl.vm.Return) and try_out(leader.calldata) == try_out(write_code())

        self.code = gl.vm.run_nondet(write_code, does_the_same)
        return self.code

    @gl.public.view
    def compute(self, x: int) -> int:
        result = run(self.code, x)
        if not isinstance(result, gl.vm.Return):
            raise gl.vm.UserError(f"the formula fails: {result.message}")
        return result.calldata


def try_out(code: str) -> list[gl.vm.Result[int]]:
    return [run(code, x) for x in EXAMPLES]


def run(code: str, x: int) -> gl.vm.Result[int]:
    # Storage, messages and other contracts are out of its reach, and so are our variables.
    return gl.vm.spawn_sandbox(lambda: evaluate(code, x))
