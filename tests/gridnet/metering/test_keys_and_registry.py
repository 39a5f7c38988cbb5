"""Keys of both kinds, and who may sign when: windows, rotation, revocation, and the registry's one way to be written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet.metering.errors import KeyNotValid, KeyRevoked, UnknownKey
from gridnet.metering.keys import _P256_ORDER, Algorithm, DeviceKey, PublicKey
from gridnet.metering.registry import KeyEntry, KeyRegistry

NOON = datetime(2018, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONE, TWO, THREE = (DeviceKey.simulated(1, "home-001", generation).public_key for generation in range(3))
both = pytest.mark.parametrize("algorithm", list(Algorithm))


@both
def test_a_signature_is_the_keys_and_the_messages(algorithm: Algorithm) -> None:
    key, other = DeviceKey.generate(algorithm), DeviceKey.generate(algorithm)
    signature = key.sign(b"message")
    assert key.public_key.verify(b"message", signature)
    assert key.sign(b"message") == signature
    assert not key.public_key.verify(b"massage", signature)
    assert not other.public_key.verify(b"message", signature)
    assert not key.public_key.verify(b"message", signature[:-1])
    assert not key.public_key.verify(b"message", signature[:32] + b"\x00" + signature[32:])
    assert not key.public_key.verify(b"message", bytes(64))
    assert not key.public_key.verify(b"message", b"\xff" * 64)


@both
def test_a_public_key_is_read_back_and_a_changed_one_is_not(algorithm: Algorithm) -> None:
    key = DeviceKey.simulated(4, "x", 0, algorithm).public_key
    assert PublicKey.decode(key.encode()) == key
    for bad in ("", key.encode()[:-1], key.encode()[:-2], key.encode().upper(), key.encode() + "00", "rsa:" + "00" * 32):
        with pytest.raises(InputError):
            PublicKey.decode(bad)


def test_a_point_off_the_curve_is_no_key() -> None:
    good = DeviceKey.simulated(1, "x", 0, Algorithm.ES256).public_key.public
    with pytest.raises(InputError, match="P-256"):
        PublicKey(b"\x05" + good[1:], Algorithm.ES256)


@given(st.binary(max_size=40))
def test_signatures_of_p256_are_the_lower_twin(message: bytes) -> None:
    key = DeviceKey.simulated(1, "x", 0, Algorithm.ES256)
    signature = key.sign(message)
    twin = signature[:32] + (_P256_ORDER - int.from_bytes(signature[32:])).to_bytes(32)
    assert key.public_key.verify(message, twin), "the twin is as valid: that is why one of them must be chosen"
    assert key.public_key.is_lowest(signature)
    assert not key.public_key.is_lowest(twin)


def test_simulated_keys_follow_from_seed_device_and_generation_alone() -> None:
    made = {DeviceKey.simulated(s, d, g, a).secret for s in (1, 2) for d in ("a", "b") for g in (0, 1) for a in Algorithm}
    assert len(made) == 16
    assert DeviceKey.simulated(1, "a") == DeviceKey.simulated(1, "a")


def test_a_secret_is_not_shown() -> None:
    key = DeviceKey.generate()
    assert key.secret.hex() not in repr(key)
    assert repr(key.secret) not in repr(key)


@pytest.mark.parametrize(
    ("secret", "algorithm"), [(b"", Algorithm.EDDSA), (bytes(32), Algorithm.ES256), (b"\xff" * 32, Algorithm.ES256)]
)
def test_what_can_be_no_secret_is_refused(secret: bytes, algorithm: Algorithm) -> None:
    with pytest.raises(InputError):
        DeviceKey(secret, algorithm)


def test_a_rotated_key_signs_up_to_the_rotation_and_the_next_from_it() -> None:
    registry = KeyRegistry().enrol("home-001", ONE, NOON).rotate("home-001", TWO, NOON + HOUR)
    late = NOON + 100 * HOUR
    registry.find(ONE.kid).check(NOON + HOUR, late)
    registry.find(TWO.kid).check(NOON + HOUR + timedelta(minutes=15), late)
    for key, end in ((ONE, NOON), (ONE, NOON + HOUR + timedelta(minutes=15)), (TWO, NOON + HOUR)):
        with pytest.raises(KeyNotValid):
            registry.find(key.kid).check(end, late)


def test_a_revoked_key_counts_for_what_came_before() -> None:
    registry = KeyRegistry().enrol("home-001", ONE, NOON).revoke(ONE.kid, NOON + HOUR)
    entry = registry.find(ONE.kid)
    entry.check(NOON + HOUR, NOON + HOUR - timedelta(seconds=1))
    with pytest.raises(KeyRevoked):
        entry.check(NOON + timedelta(minutes=15), NOON + HOUR)
    assert registry.revoke(ONE.kid, NOON + 2 * HOUR).find(ONE.kid).revoked == NOON + HOUR, "a later one takes nothing back"
    assert registry.revoke(ONE.kid, NOON).find(ONE.kid).revoked == NOON
    registry.enrol("home-001", TWO, NOON + HOUR)


def test_an_unknown_key_is_told() -> None:
    with pytest.raises(UnknownKey):
        KeyRegistry().enrol("home-001", ONE, NOON).find(TWO.kid)
    with pytest.raises(UnknownKey):
        KeyRegistry().revoke(ONE.kid, NOON)


def test_two_keys_at_a_time_and_one_key_twice_are_refused() -> None:
    registry = KeyRegistry().enrol("home-001", ONE, NOON)
    for refused in (
        lambda: registry.enrol("home-001", TWO, NOON + HOUR),
        lambda: registry.enrol("home-002", ONE, NOON),
        lambda: registry.rotate("home-002", TWO, NOON),
        lambda: registry.rotate("home-001", TWO, NOON - HOUR),
        lambda: registry.enrol("home-002", TWO, NOON.replace(tzinfo=None)),
        lambda: registry.enrol("home-002", TWO, NOON.replace(microsecond=1)),
    ):
        with pytest.raises(InputError):
            refused()
    with pytest.raises(InputError) as caught:
        KeyRegistry((KeyEntry("a", ONE, NOON, NOON - HOUR), KeyEntry("b", TWO, NOON), KeyEntry("b", TWO, NOON)))
    assert len(caught.value.faults) == 3


def test_a_registry_is_written_in_one_way() -> None:
    registry = KeyRegistry().enrol("home-002", THREE, NOON).enrol("home-001", ONE, NOON).rotate("home-001", TWO, NOON + HOUR)
    registry = registry.revoke(TWO.kid, NOON + 2 * HOUR)
    text = registry.encode()
    assert KeyRegistry.decode(text) == registry
    assert KeyRegistry(tuple(reversed(registry.entries))).encode() == text
    assert text.startswith('{"keys":[{"device":"home-001","end":"2018-07-01T13:00:00Z","key":"ed25519:')
    for bad in (text + "\n", text.replace(":1}", ":2}"), text[:-1], "[]", "{}", "null", '{"keys":[1],"version":1}', "[" * 9999):
        with pytest.raises(InputError):
            KeyRegistry.decode(bad)
