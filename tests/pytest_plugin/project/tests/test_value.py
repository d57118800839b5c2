"""Escrow, gallery, DAO and letter of credit: who may do what, when, and what it costs."""

import pytest
from gltest.direct import create_address

GEN = 10**18
DEADLINE = "2026-07-01T00:00:00+00:00"


def to_hex(address):
    """Fixtures are bytes or addresses, depending on what was imported before."""
    return "0x" + (address.hex() if isinstance(address, bytes) else address.as_bytes.hex())


def same(left, right):
    return to_hex(left) == to_hex(right)


def address(raw):
    """Once a contract is deployed there is an SDK to import from."""
    from genlayer.py.types import Address

    return raw if isinstance(raw, Address) else Address(raw)


# --- escrow -------------------------------------------------------------------------------------------


@pytest.fixture
def escrow(direct_vm, direct_deploy, direct_owner, direct_alice):
    direct_vm.warp("2026-06-01T00:00:00Z")
    direct_vm.sender = direct_owner
    return direct_deploy(
        "contracts/escrow.py", to_hex(direct_alice), ["design", "build"], [10 * GEN, 990 * GEN], DEADLINE
    )


def test_milestones_are_paid_one_by_one(direct_vm, escrow, direct_alice):
    direct_vm.value = 1000 * GEN
    assert escrow.fund() == 1000 * GEN
    direct_vm.value = 0
    assert escrow.open_milestones() == ["design", "build"]
    with direct_vm.expect_revert("not delivered"):
        escrow.approve(0)
    with direct_vm.prank(direct_alice):
        escrow.deliver(0)
        with direct_vm.expect_revert("only the buyer"):
            escrow.approve(0)
    assert escrow.milestones[0].delivered
    assert escrow.approve(0) == 990 * GEN
    assert escrow.milestones[0].paid
    assert not escrow.milestones[1].paid
    assert escrow.milestones[1].amount == 990 * GEN
    with direct_vm.expect_revert("already paid"):
        escrow.approve(0)
    assert escrow.open_milestones() == ["build"]


def test_the_exact_sum_is_due(direct_vm, escrow, direct_bob):
    from genlayer import gl

    direct_vm.value = 999 * GEN
    with pytest.raises(gl.vm.UserError, match=f"exactly {1000 * GEN} is due"):
        escrow.fund()
    direct_vm.value = 0
    direct_vm.startPrank(direct_bob)
    with pytest.raises(Exception, match="only the buyer"):
        escrow.refund()
    direct_vm.stopPrank()
    with pytest.raises(RuntimeError, match="No active prank"):
        direct_vm.stopPrank()


def test_refund_after_the_deadline(direct_vm, escrow):
    direct_vm.value = 1000 * GEN
    escrow.fund()
    direct_vm.value = 0
    before = direct_vm.snapshot()
    with direct_vm.expect_revert("the deadline is not over"):
        escrow.refund()
    direct_vm.warp("2026-07-01T00:00:01Z")
    assert escrow.refund() == 1000 * GEN
    assert escrow.locked == 0
    direct_vm.revert(before)
    assert escrow.locked == 1000 * GEN
    with direct_vm.expect_revert("the deadline is not over"):
        escrow.refund()
    with pytest.raises(ValueError, match="Snapshot 999 not found"):
        direct_vm.revert(999)


def test_constructor_checks(direct_vm, direct_deploy, direct_alice):
    with pytest.raises(ValueError, match="every milestone needs an amount"):
        direct_deploy("escrow.py", to_hex(direct_alice), ["design"], [], DEADLINE)


# --- gallery ------------------------------------------------------------------------------------------


def test_royalties(direct_vm, direct_deploy, direct_alice, direct_bob, direct_charlie):
    gallery = direct_deploy("contracts/nft.py", royalty_bps=500)
    direct_vm.sender = direct_alice
    assert [gallery.mint(f"ipfs://{number}") for number in range(3)] == [0, 1, 2]
    gallery.offer(0, 100 * GEN)
    direct_vm.sender = direct_bob
    with direct_vm.expect_revert("not for sale"):
        gallery.buy(1)
    direct_vm.value = 100 * GEN
    gallery.buy(0)
    direct_vm.value = 0
    assert same(gallery.owner_of(0), direct_bob)
    gallery.offer(0, 200 * GEN)
    direct_vm.sender = direct_charlie
    direct_vm.value = 200 * GEN
    gallery.buy(0)
    direct_vm.value = 0
    assert gallery.earnings[address(direct_alice)] == 110 * GEN
    assert gallery.earnings[address(direct_bob)] == 190 * GEN
    assert gallery.balance_of(address(direct_alice)) == 2
    assert gallery.balance_of(address(direct_charlie)) == 1
    assert same(gallery.tokens[0].owner, direct_charlie)
    assert gallery.tokens[0].price == 0
    with direct_vm.prank(direct_alice):
        assert gallery.withdraw() == 110 * GEN
        with direct_vm.expect_revert("nothing earned"):
            gallery.withdraw()


def test_python_exceptions(direct_vm, direct_deploy, direct_bob):
    gallery = direct_deploy("contracts/nft.py", 0)
    with pytest.raises(KeyError, match="token 7"):
        gallery.offer(7, 1)
    gallery.mint("x")
    with direct_vm.prank(direct_bob), pytest.raises(PermissionError):
        gallery.offer(0, 1)
    with pytest.raises(TypeError):
        gallery.mint(1, 2, 3)


def test_assertions_of_a_contract(direct_deploy):
    with pytest.raises(AssertionError, match="royalty out of range"):
        direct_deploy("contracts/nft.py", 10_001)


# --- DAO ----------------------------------------------------------------------------------------------


def test_dao(direct_vm, direct_deploy, direct_accounts):
    members = direct_accounts[:5]
    dao = direct_deploy("dao.py", [to_hex(member) for member in members], quorum=3)
    direct_vm.warp("2026-03-01T12:00:00Z")
    direct_vm.sender = members[0]
    proposal = dao.propose("paint the shed", 7)
    assert dao.vote(proposal, True) == 1
    with direct_vm.expect_revert("voted already"):
        dao.vote(proposal, False)
    with direct_vm.prank(direct_accounts[9]), direct_vm.expect_revert("no vote"):
        dao.vote(proposal, True)
    with direct_vm.prank(members[1]):
        dao.give_vote_to(address(members[2]))
        with direct_vm.expect_revert():
            dao.give_vote_to(address(direct_accounts[8]))
    with direct_vm.prank(members[2]):
        assert dao.vote(proposal, True) == 2
    with direct_vm.prank(members[3]):
        dao.vote(proposal, False)
    assert dao.tally(proposal) == {"yes": 3, "no": 1}
    with direct_vm.expect_revert("still voting"):
        dao.execute(proposal)
    direct_vm.warp("2026-03-08T12:00:00Z")
    assert dao.execute(proposal) == "passed"
    with direct_vm.expect_revert("executed already"):
        dao.execute(proposal)
    assert dao.proposals[0].executed
    assert dao.proposals[0].text == "paint the shed"
    assert same(dao.proposals[0].author, members[0])


# --- letter of credit ---------------------------------------------------------------------------------


def test_many_parties(direct_vm, direct_deploy, parties):
    letter = direct_deploy(
        "contracts/trade_finance.py", {role: to_hex(who) for role, who in parties.items()}, 500 * GEN
    )
    documents = [{"kind": "invoice", "number": 7}, {"kind": "bill of lading", "number": 8}]
    steps = [
        ("bank", "issue", (), 500 * GEN),
        ("carrier", "ship", ("MAEU-1",), 0),
        ("inspector", "inspect", (True, "as ordered"), 0),
        ("exporter", "present", (documents,), 0),
        ("bank", "pay", (), 0),
    ]
    for role, method, arguments, value in steps:
        for other in parties:
            if other != role:
                with direct_vm.prank(parties[other]), direct_vm.expect_revert(f"this is for the {role}"):
                    direct_vm.value = value if method == "issue" else 0
                    getattr(letter, method)(*arguments)
        direct_vm.value = value
        with direct_vm.prank(parties[role]):
            getattr(letter, method)(*arguments)
        direct_vm.value = 0
    assert letter.status() == {"step": "paid", "amount": 500 * GEN, "history": 5}
    assert [event.step for event in letter.history] == ["issued", "shipped", "inspected", "documents", "paid"]
    assert letter.history[1].note == "MAEU-1"


def test_all_parties_are_needed(direct_vm, direct_deploy, parties):
    del parties["carrier"]
    with direct_vm.expect_revert("there is no carrier"):
        direct_deploy("trade_finance.py", {role: to_hex(who) for role, who in parties.items()}, 1)


def test_documents_that_do_not_conform(direct_vm, direct_deploy, parties):
    letter = direct_deploy("trade_finance.py", {role: to_hex(create_address("one for all")) for role in parties}, 1)
    direct_vm.sender = create_address("one for all")
    direct_vm.value = 1
    letter.issue()
    direct_vm.value = 0
    letter.ship("x")
    with direct_vm.expect_revert("inspection failed: mould"):
        letter.inspect(False, "mould")
    with direct_vm.expect_revert("it is shipped, not inspected"):
        letter.present([{"kind": "invoice"}, {"kind": "bill of lading"}])
    with direct_vm.expect_revert("documents do not conform"):
        letter.present([{"kind": "invoice"}])
