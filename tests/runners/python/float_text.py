"""Evaluates float expressions to text; the same file runs in the sandbox and on native Python (as a script)."""


def text_of(expression: str) -> str:
    try:
        return repr(eval(expression))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main(expressions: list[str]) -> list[str]:
    return [text_of(expression) for expression in expressions]


if __name__ == "__main__":
    import sys

    for line in sys.stdin:
        print(ascii(text_of(line.rstrip("\n"))))
