# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

import datetime
from dataclasses import dataclass

from genlayer import *


@allow_storage
@dataclass
class Proposal:
    author: Address
    text: str
    closes: datetime.datetime
    votes: TreeMap[Address, bool]


class Voting(gl.Contract):
    """Members propose and vote; a proposal is accepted when more than half of the members say yes in time."""

    members: TreeMap[Address, None]
    proposals: DynArray[Proposal]

    def __init__(self, members: list[Address]):
        if not members:
            raise gl.vm.UserError("there must be a member")
        for member in members:
            # A map without values is a set.
            self.members[member] = None

    @gl.public.write
    def propose(self, text: str, days: int) -> int:
        author = self._member()
        if not 0 < days <= 365:
            raise gl.vm.UserError("a vote lasts from 1 to 365 days")
        proposal = self.proposals.append_new_get()
        proposal.author = author
        proposal.text = text
        proposal.closes = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        return len(self.proposals) - 1

    @gl.public.write
    def vote(self, number: int, yes: bool) -> None:
        voter = self._member()
        proposal = self._proposal(number)
        if datetime.datetime.now(datetime.UTC) >= proposal.closes:
            raise gl.vm.UserError("the vote is closed")
        if voter in proposal.votes:
            raise gl.vm.UserError("you have voted")
        proposal.votes[voter] = bool(yes)

    @gl.public.view
    def result(self, number: int) -> dict[str, int | bool | str]:
        proposal = self._proposal(number)
        yes = sum(proposal.votes.values())
        return {
            "text": proposal.text,
            "yes": yes,
            "no": len(proposal.votes) - yes,
            "open": datetime.datetime.now(datetime.UTC) < proposal.closes,
            "accepted": 2 * yes > len(self.members),
        }

    def _member(self) -> Address:
        if gl.message.sender_address not in self.members:
            raise gl.vm.UserError("only members vote")
        return gl.message.sender_address

    def _proposal(self, number: int) -> Proposal:
        if not 0 <= number < len(self.proposals):
            raise gl.vm.UserError(f"there is no proposal {number}")
        return self.proposals[number]
