# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

"""Members vote; votes can be given away; what passes is carried out."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from genlayer import *


@allow_storage
@dataclass
class Proposal:
    author: Address
    text: str
    ends: u64
    yes: u32
    no: u32
    executed: bool


class Dao(gl.Contract):
    members: DynArray[Address]
    delegate: TreeMap[Address, Address]
    proposals: DynArray[Proposal]
    voted: TreeMap[str, bool]
    quorum: u32

    def __init__(self, members: list[str], quorum: int):
        self.members.extend(Address(member) for member in members)
        self.quorum = u32(quorum)

    def _now(self) -> int:
        return int(datetime.now(UTC).timestamp())

    def _weight(self, who: Address) -> int:
        return sum(self.delegate.get(member, member) == who for member in self.members)

    @gl.public.write
    def give_vote_to(self, to: Address) -> None:
        if to not in list(self.members):
            raise gl.vm.UserError("no member")
        self.delegate[gl.message.sender_address] = to

    @gl.public.write
    def propose(self, text: str, days: int) -> int:
        if gl.message.sender_address not in list(self.members):
            raise gl.vm.UserError("members only")
        ends = int((datetime.now(UTC) + timedelta(days=days)).timestamp())
        self.proposals.append(Proposal(gl.message.sender_address, text, u64(ends), u32(0), u32(0), False))
        return len(self.proposals) - 1

    @gl.public.write
    def vote(self, id: int, yes: bool) -> int:
        proposal = self.proposals[id]
        if self._now() >= proposal.ends:
            raise gl.vm.UserError("voting is over")
        voter = gl.message.sender_address
        weight = self._weight(voter)
        if not weight:
            raise gl.vm.UserError("no vote")
        key = f"{id}/{voter.as_hex}"
        if key in self.voted:
            raise gl.vm.UserError("voted already")
        self.voted[key] = yes
        if yes:
            proposal.yes = u32(proposal.yes + weight)
        else:
            proposal.no = u32(proposal.no + weight)
        return weight

    @gl.public.write
    def execute(self, id: int) -> str:
        proposal = self.proposals[id]
        if self._now() < proposal.ends:
            raise gl.vm.UserError("still voting")
        if proposal.executed:
            raise gl.vm.UserError("executed already")
        if proposal.yes + proposal.no < self.quorum:
            raise gl.vm.UserError("no quorum")
        proposal.executed = proposal.yes > proposal.no
        return "passed" if proposal.executed else "rejected"

    @gl.public.view
    def tally(self, id: int) -> dict[str, int]:
        proposal = self.proposals[id]
        return {"yes": proposal.yes, "no": proposal.no}
