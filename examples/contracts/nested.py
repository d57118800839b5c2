# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

import datetime
import typing
from dataclasses import dataclass

from genlayer import *


@allow_storage
@dataclass
class Task:
    title: str
    done: bool
    points: u16


@allow_storage
@dataclass
class Person:
    name: str
    joined: datetime.datetime
    tasks: DynArray[Task]


class Team(gl.Contract):
    """Records in arrays in records in maps."""

    people: TreeMap[Address, Person]
    history: DynArray[str]
    scores: Array[u32, typing.Literal[4]]
    groups: TreeMap[str, TreeMap[str, u64]]

    def __init__(self) -> None:
        pass

    @gl.public.write
    def join(self, name: str) -> None:
        person = self.people.get_or_insert_default(gl.message.sender_address)
        person.name = name
        person.joined = datetime.datetime.now(datetime.UTC)
        self.history.append(f"{name} joined")

    @gl.public.write
    def add_task(self, title: str, points: int) -> None:
        person = self._me()
        person.tasks.append(Task(title, False, u16(points)))
        self.history.append(f"{person.name} took {title}")

    @gl.public.write
    def finish_task(self, index: int) -> int:
        task = self._me().tasks[index]
        if task.done:
            raise gl.vm.UserError(f"{task.title} is done already")
        task.done = True
        slot = index % 4
        self.scores[slot] = u32(self.scores[slot] + task.points)
        return self.scores[slot]

    @gl.public.write
    def count(self, group: str, key: str, amount: int) -> int:
        counters = self.groups.get_or_insert_default(group)
        counters[key] = u64(counters.get(key, u64(0)) + amount)
        return counters[key]

    @gl.public.view
    def get(self) -> dict[str, typing.Any]:
        return {
            "people": {
                address.as_hex: {
                    "name": person.name,
                    "joined": person.joined.isoformat(),
                    "tasks": [{"title": t.title, "done": t.done, "points": t.points} for t in person.tasks],
                }
                for address, person in self.people.items()
            },
            "history": list(self.history),
            "scores": list(self.scores),
            "groups": {name: dict(group.items()) for name, group in self.groups.items()},
        }

    def _me(self) -> Person:
        person = self.people.get(gl.message.sender_address)
        if person is None:
            raise gl.vm.UserError("join first")
        return person
