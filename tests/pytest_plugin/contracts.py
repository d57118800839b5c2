"""Contracts of the tests, as text."""

from __future__ import annotations

HEADER = (
    "# v0.2.16\n"
    '# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }\n\n'
    "from genlayer import *\n"
)

#: Says what it was given.
ECHO = (
    HEADER
    + """
import typing

class Echo(gl.Contract):
    who: Address
    seen: TreeMap[Address, u256]

    def __init__(self, who: Address):
        self.who = who
        self.seen[who] = u256(7)

    @gl.public.view
    def typed(self, who: Address) -> str:
        return type(who).__name__ + ' ' + who.as_hex

    @gl.public.view
    def nested(self, each: list[Address], named: dict[str, Address], either: str | Address | None) -> list:
        return [each[0].as_hex, named['x'].as_hex, type(either).__name__]

    @gl.public.view
    def raw(self, who: bytes) -> bytes:
        return who + b'!'

    @gl.public.view
    def text(self, who: str) -> str:
        return who + '!'

    @gl.public.view
    def anything(self, who, *, key: bytes = b'') -> str:
        return type(who).__name__ + type(key).__name__

    @gl.public.view
    def message(self) -> list:
        return [gl.message.sender_address, gl.message.origin_address, gl.message.value]

    @gl.public.write.payable
    def pay(self) -> int:
        return gl.message.value
"""
)

#: Asks another contract in a view, which takes the value that came with the question if it has as much itself.
CALLER = (
    HEADER
    + """
class Caller(gl.Contract):
    def __init__(self):
        pass

    @gl.public.write.payable
    def ask(self, other: Address) -> None:
        gl.get_contract_at(other).view().answer(other)

    @gl.public.view
    def answer(self, to: Address) -> None:
        gl.get_contract_at(to).emit_transfer(value=u256(7))

    @gl.public.write.payable
    def __receive__(self) -> None:
        pass
"""
)

#: Asks the web and language models.
ASKING = (
    HEADER
    + """
class Asking(gl.Contract):
    last: str

    def __init__(self):
        pass

    @gl.public.write
    def json(self, prompt: str) -> str:
        def ask() -> str:
            answer = gl.nondet.exec_prompt(prompt, response_format='json')
            return f'{type(answer).__name__} {answer!r}'
        self.last = gl.eq_principle.strict_eq(ask)
        return self.last

    @gl.public.write
    def text(self, prompt: str) -> str:
        return gl.eq_principle.strict_eq(lambda: gl.nondet.exec_prompt(prompt))

    @gl.public.write
    def same(self, prompt: str) -> str:
        return gl.eq_principle.prompt_comparative(lambda: gl.nondet.exec_prompt(prompt), 'they mean the same')

    @gl.public.write
    def web(self, url: str, method: str) -> list:
        def ask() -> list:
            response = gl.nondet.web.request(url, method=method, body='x')
            return [response.status, response.body, sorted(response.headers.items())]
        return gl.eq_principle.strict_eq(ask)

    @gl.public.write
    def page(self, url: str) -> str:
        return gl.eq_principle.strict_eq(lambda: gl.nondet.web.render(url, mode='text'))

    @gl.public.write
    def careful(self, url: str) -> str:
        def ask() -> str:
            try:
                return gl.nondet.web.get(url).body.decode()
            except Exception as error:
                return f'fallback: {error}'
        return gl.eq_principle.strict_eq(ask)

    @gl.public.write
    def translated(self, url: str) -> str:
        def ask() -> str:
            try:
                return gl.nondet.web.get(url).body.decode()
            except Exception:
                raise gl.vm.UserError('the web is down')
        return gl.eq_principle.strict_eq(ask)

    @gl.public.write
    def two(self, first: str, second: str) -> list:
        one = gl.eq_principle.strict_eq(lambda: gl.nondet.exec_prompt(first))
        return [one, gl.eq_principle.strict_eq(lambda: gl.nondet.exec_prompt(second))]

    @gl.public.view
    def look(self, prompt: str) -> str:
        return gl.eq_principle.strict_eq(lambda: gl.nondet.exec_prompt(prompt))

    @gl.public.write
    def nothing(self) -> None:
        self.last = 'nothing'
"""
)

#: Fails in many ways.
FAILING = (
    HEADER
    + """
class Mine(Exception):
    pass

class Failing(gl.Contract):
    count: u256

    def __init__(self, fail: bool = False):
        if fail:
            raise ValueError('not like that')

    @gl.public.write
    def fail(self, how: str) -> None:
        self.count += 1
        match how:
            case 'user':
                raise gl.vm.UserError('no, "you"\\nmay not')
            case 'immediate':
                gl.advanced.user_error_immediate('at once')
            case 'value':
                raise ValueError('several\\nlines')
            case 'key':
                raise KeyError('k')
            case 'bare':
                raise LookupError
            case 'assert':
                assert self.count == 99, 'count is wrong'
            case 'mine':
                raise Mine('of my own')
            case 'chained':
                try:
                    1 // 0
                except ZeroDivisionError as error:
                    raise RuntimeError('because of it') from error
            case 'unicode':
                b'\\xff'.decode()
            case 'exit':
                raise SystemExit(3)
            case 'nondet':
                gl.eq_principle.strict_eq(lambda: {}['missing'])

    @gl.public.write
    def count_up(self) -> int:
        self.count += 1
        return self.count
"""
)

#: Keeps records.
RECORDS = (
    HEADER
    + """
import typing
from dataclasses import dataclass

@allow_storage
@dataclass
class Inner:
    name: str
    items: DynArray[u8]

@allow_storage
@dataclass
class Item:
    title: str
    owner: Address
    inner: Inner

class Records(gl.Contract):
    items: DynArray[Item]
    by_name: TreeMap[str, Item]

    def __init__(self):
        pass

    @gl.public.write
    def add(self, title: str) -> None:
        for item in (self.items.append_new_get(), self.by_name.get_or_insert_default(title)):
            item.title = title
            item.owner = gl.message.sender_address
            item.inner.name = 'inner of ' + title
            item.inner.items.extend([u8(1), u8(2)])

    @gl.public.view
    def first(self) -> dict[str, typing.Any]:
        item = self.items[0]
        return {'title': item.title, 'owner': item.owner, 'more': [{'name': item.inner.name}]}
"""
)
