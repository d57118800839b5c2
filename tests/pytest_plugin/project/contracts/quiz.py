# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

"""A quiz whose answers a language model may judge."""

from genlayer import *


class Quiz(gl.Contract):
    host: Address
    questions: DynArray[str]
    solutions: DynArray[str]
    points: TreeMap[str, u32]

    def __init__(self):
        self.host = gl.message.sender_address

    @gl.public.write
    def ask(self, question: str, solution: str) -> int:
        if gl.message.sender_address != self.host:
            raise Exception("only the host asks")
        self.questions.append(question)
        self.solutions.append(solution)
        return len(self.questions)

    @gl.public.write
    def answer(self, number: int, text: str) -> bool:
        question, solution = self.questions[number - 1], self.solutions[number - 1]
        right = text.strip().lower() == solution.lower()
        if not right:
            prompt = f"Is {text!r} a right answer to {question!r}, where {solution!r} is? Answer yes or no."
            right = gl.eq_principle.strict_eq(lambda: gl.nondet.exec_prompt(prompt).strip().lower()) == "yes"
        key = gl.message.sender_address.as_hex
        self.points[key] = u32(self.points.get(key, u32(0)) + right)
        return right

    @gl.public.view
    def leader(self) -> tuple[str, int] | None:
        best = max(self.points.items(), key=lambda item: item[1], default=None)
        return best and (best[0], best[1])
