"""Who may come in: secrets, tokens, certificates, revocation, roles."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from gridnet.app.service.errors import Conflict, Forbidden, NotAuthenticated, NotFound
from gridnet.app.service.model import ROLES, Principal
from gridnet.app.service.people import TOKEN_S
from gridnet.app.service.schema import principals, tokens
from gridnet.app.service.service import Service
from gridnet.errors import InputError
from tests.gridnet.app.service.parts import ALICE, BOB, OPERATOR, Clock

LFDI = "0123456789abcdef0123456789abcdef01234567"
SECRET = "sixteen letters!"


@pytest.fixture
def known(service: Service) -> Service:
    """With somebody who has a secret."""
    service.people.add(OPERATOR, Principal("carol", "prosumer", LFDI.upper()), SECRET)
    return service


def test_a_secret_is_stored_salted_and_hashed_and_a_token_hashed(known: Service) -> None:
    known.people.add(OPERATOR, Principal("dave", "prosumer"), SECRET)
    token, _ = known.people.issue_token("carol", SECRET)
    with known.store.read() as connection:
        kept = [str(row) for table in (principals, tokens) for row in connection.execute(select(table))]
        salted = connection.execute(select(principals.c.secret).where(principals.c.secret.is_not(None))).scalars().all()
    assert not any(SECRET in row or token in row for row in kept)
    assert len(set(salted)) == 2, "equal secrets, different salts"


def test_a_token_is_good_for_its_principal_alone_and_until_it_expires(known: Service, clock: Clock) -> None:
    token, lives_s = known.people.issue_token("carol", SECRET)
    assert lives_s == TOKEN_S
    assert known.people.by_token(token) == Principal("carol", "prosumer", LFDI)
    clock.forward(seconds=lives_s - 1)
    assert known.people.by_token(token).id == "carol"
    clock.forward(seconds=1)
    with pytest.raises(NotAuthenticated):
        known.people.by_token(token)


@pytest.mark.parametrize(
    ("client", "secret"), [("carol", SECRET + "x"), ("carol", ""), ("nobody", SECRET), ("alice", ""), ("alice", "x")]
)
def test_whoever_has_no_secret_or_another_gets_no_token(known: Service, client: str, secret: str) -> None:
    with pytest.raises(NotAuthenticated):
        known.people.issue_token(client, secret)


def test_a_made_up_token_is_nobodys(known: Service) -> None:
    token, _ = known.people.issue_token("carol", SECRET)
    for wrong in ("", "x", token[:-1], token + "x", token.swapcase(), "\x00", "é" * 40):
        with pytest.raises(NotAuthenticated):
            known.people.by_token(wrong)


@pytest.mark.parametrize("by", ["carol", LFDI, LFDI.upper(), f"lfdi:{LFDI}"])
def test_revocation_acts_on_the_next_request_of_token_secret_and_certificate(known: Service, by: str) -> None:
    token, _ = known.people.issue_token("carol", SECRET)
    known.people.revoke(OPERATOR, by)
    asks = (
        lambda: known.people.by_token(token),
        lambda: known.people.by_certificate(LFDI),
        lambda: known.people.issue_token("carol", SECRET),
    )
    for ask in asks:
        with pytest.raises(NotAuthenticated):
            ask()
    known.people.restore(OPERATOR, by)
    assert [ask() is not None for ask in asks] == [True] * 3


def test_a_certificate_nobody_came_with_yet_can_be_revoked(service: Service) -> None:
    assert service.people.by_certificate(LFDI) == Principal(f"lfdi:{LFDI}", "device", LFDI)
    service.people.revoke(OPERATOR, LFDI)
    with pytest.raises(NotAuthenticated):
        service.people.by_certificate(LFDI)
    service.people.restore(OPERATOR, LFDI)
    assert service.people.by_certificate(LFDI).role == "device"


def test_revoking_somebody_unknown_or_one_principal_leaves_the_others(known: Service) -> None:
    with pytest.raises(NotFound):
        known.people.revoke(OPERATOR, "nobody")
    known.people.add(OPERATOR, Principal("dave", "prosumer"), SECRET)
    token, _ = known.people.issue_token("dave", SECRET)
    known.people.revoke(OPERATOR, "carol")
    assert known.people.by_token(token).id == "dave"


@pytest.mark.parametrize("role", [role for role in ROLES if role != "operator"])
def test_only_an_operator_makes_reads_and_revokes_principals(known: Service, role: str) -> None:
    by = Principal("somebody", role)  # type: ignore[arg-type]
    for ask in (
        lambda: known.people.add(by, Principal("eve", "operator"), SECRET),
        lambda: known.people.revoke(by, "carol"),
        lambda: known.people.restore(by, "carol"),
        lambda: known.people.get(by, "carol"),
    ):
        with pytest.raises(Forbidden):
            ask()
    with pytest.raises(NotFound):
        known.people.get(OPERATOR, "eve")
    assert known.people.get(ALICE, "alice").principal == ALICE


def test_what_is_wrong_with_a_principal_is_said_all_at_once(service: Service) -> None:
    with pytest.raises(InputError) as refused:
        service.people.add(OPERATOR, Principal("lfdi:x" * 20, "king", "xyz"), "short")  # type: ignore[arg-type]
    assert {fault.where for fault in refused.value.faults} == {"role", "id", "lfdi", "secret"}


def test_ids_and_certificates_are_given_once(known: Service) -> None:
    for again in (Principal("carol", "auditor"), Principal("carola", "prosumer", LFDI)):
        with pytest.raises(Conflict):
            known.people.add(OPERATOR, again, SECRET)
    with pytest.raises(InputError):
        known.people.add(OPERATOR, Principal(f"lfdi:{'9' * 40}", "prosumer", LFDI[::-1]))


def test_the_operators_record_says_who_did_what(known: Service) -> None:
    known.people.revoke(OPERATOR, "carol")
    lines = [(each.principal, each.action, each.object) for each in known.operations.page(OPERATOR)]
    assert lines == [("boss", "add principal", "carol"), ("boss", "revoke", "carol")]
    assert [each.number for each in known.operations.page(Principal("a", "auditor"), 1)] == [1]
    with pytest.raises(Forbidden):
        known.operations.page(BOB)
