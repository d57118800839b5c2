# { "Depends": "py-genlayer:15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0" }

from genlayer import *

import typing

CHILD = """# { "Depends": "py-genlayer:15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0" }

from genlayer import *


@gl.contract
class Child:
    question: str
    factory: Address

    def __init__(self, question: str):
        self.question = question
        self.factory = gl.message.sender_account

    @gl.public.view
    def get_question(self) -> str:
        return self.question

    @gl.public.write
    def ask(self, question: str) -> None:
        if gl.message.sender_account != self.factory:
            raise Rollback("only the factory asks")
        self.question = question
"""


class Factory(gl.Contract):
    child_address: Address
    children: DynArray[Address]

    def __init__(self):
        pass

    @gl.public.write
    def create(self, question: str) -> str:
        address = gl.deploy_contract(
            code=CHILD.encode("utf-8"), args=[question], salt_nonce=u256(len(self.children) + 1)
        )
        self.children.append(address)
        return address.as_hex

    @gl.public.view
    def questions(self) -> list[str]:
        return [gl.ContractAt(child).view().get_question() for child in self.children]

    @gl.public.write
    def ask_all(self, question: str) -> None:
        for child in self.children:
            gl.ContractAt(child).emit().ask(question)
