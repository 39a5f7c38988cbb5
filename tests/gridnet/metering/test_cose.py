"""Signed messages: published vectors verify, and every attack on a message, its key or its encoding is refused by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import cbor2
import pytest

from gridnet.errors import VerificationError
from gridnet.metering.cose import MAX_BYTES, Sign1, message_hash, open_message, parse_sign1, sign, verify_sign1
from gridnet.metering.errors import (
    BadSignature,
    KeyNotValid,
    KeyRevoked,
    MalformedMessage,
    UnknownKey,
    WrongAlgorithm,
    WrongDevice,
)
from gridnet.metering.keys import _P256_ORDER, Algorithm, DeviceKey, PublicKey
from gridnet.metering.reading import Reading
from gridnet.metering.registry import KeyRegistry

# The COSE working group's published examples (github.com/cose-wg/Examples): eddsa-examples/eddsa-sig-01,
# ecdsa-examples/ecdsa-sig-01, sign1-tests/sign-pass-02 (with external data) and sign1-tests/sign-fail-02 (payload changed).
ED25519 = PublicKey(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
P256 = PublicKey(bytes.fromhex("02bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff"), Algorithm.ES256)
EDDSA_01 = bytes.fromhex(
    "D28445A201270300A10442313154546869732069732074686520636F6E74656E742E58407142FD2FF96D56DB85BEE905A76BA1D0B7321A95C8C4D3607C57"
    "81932B7AFB8711497DFA751BF40B58B3BCC32300B1487F3DB34085EEF013BF08F4A44D6FEF0D"
)
ECDSA_01 = bytes.fromhex(
    "D28445A201260300A10442313154546869732069732074686520636F6E74656E742E5840EAE868ECC176883766C5DC5BA5B8DCA25DAB3C2E56A551CE5705"
    "B793914348E172727F48461FABBBA2E343492DDECAC3983686250BC68E9F1A7A07D41225B59F"
)
PASS_02 = bytes.fromhex(
    "D28443A10126A10442313154546869732069732074686520636F6E74656E742E5840EAE868ECC176883766C5DC5BA5B8DCA25DAB3C2E56A551CE5705B793"
    "914348E155388B10C4F1B59A6733EAB416870A945111A4B2FBDBEF33A77234B1DEFF2F9B"
)
FAIL_02 = bytes.fromhex(
    "D28443A10126A10442313154546869732069732074686520636F6E74656E742F5840EAE868ECC176883766C5DC5BA5B8DCA25DAB3C2E56A551CE5705B793"
    "914348E19F43D6C6BA654472DA301B645B293C9BA939295B97C4BDB847782BFF384C5794"
)
EXTERNAL = bytes.fromhex("11aa22bb33cc44dd55006699")

ALG, CRIT, KID = 1, 2, 4
both = pytest.mark.parametrize("algorithm", list(Algorithm))


def _key(device: str = "home-001", algorithm: Algorithm = Algorithm.EDDSA) -> DeviceKey:
    return DeviceKey.simulated(1, device, 0, algorithm)


def _registry(reading: Reading, algorithm: Algorithm = Algorithm.EDDSA) -> KeyRegistry:
    start = reading.start - timedelta(days=1)
    registry = KeyRegistry().enrol("home-001", _key("home-001", algorithm).public_key, start)
    return registry.enrol("home-002", _key("home-002", algorithm).public_key, start)


@pytest.mark.parametrize(("raw", "key", "external"), [(EDDSA_01, ED25519, b""), (ECDSA_01, P256, b""), (PASS_02, P256, EXTERNAL)])
def test_a_published_message_verifies_with_its_key_alone(raw: bytes, key: PublicKey, external: bytes) -> None:
    sign1 = parse_sign1(raw)
    assert sign1.payload == b"This is the content."
    assert sign1.encode() == raw
    verify_sign1(sign1, key, external)
    with pytest.raises(BadSignature):
        verify_sign1(sign1, key, external + b"x")
    with pytest.raises(BadSignature):
        verify_sign1(replace(sign1, payload=b"This is the content!"), key, external)
    with pytest.raises(WrongAlgorithm):
        verify_sign1(sign1, P256 if key is ED25519 else ED25519, external)


def test_a_published_forgery_does_not() -> None:
    with pytest.raises(BadSignature):
        verify_sign1(parse_sign1(FAIL_02), P256)


@both
def test_a_reading_comes_back_from_its_message(reading: Reading, algorithm: Algorithm) -> None:
    raw = sign(reading, _key("home-001", algorithm))
    assert open_message(raw, _registry(reading, algorithm), reading.end) == reading
    assert sign(reading, _key("home-001", algorithm)) == raw
    assert 140 <= len(raw) <= 170
    assert message_hash(raw) != message_hash(sign(replace(reading, drawn_wh=124), _key("home-001", algorithm)))


@both
def test_any_altered_byte_is_seen(reading: Reading, algorithm: Algorithm) -> None:
    raw, registry = sign(reading, _key("home-001", algorithm)), _registry(reading, algorithm)
    for place in range(len(raw)):
        for change in (0x01, 0x20, 0x80):
            altered = raw[:place] + bytes([raw[place] ^ change]) + raw[place + 1 :]
            with pytest.raises(VerificationError):
                open_message(altered, registry, reading.end)
        with pytest.raises(MalformedMessage):
            open_message(raw[:place], registry, reading.end)


def test_the_upper_twin_of_a_signature_is_refused(reading: Reading) -> None:
    sign1 = parse_sign1(sign(reading, _key("home-001", Algorithm.ES256)))
    upper = (_P256_ORDER - int.from_bytes(sign1.signature[32:])).to_bytes(32)
    twin = replace(sign1, signature=sign1.signature[:32] + upper)
    verify_sign1(twin, _key("home-001", Algorithm.ES256).public_key)
    with pytest.raises(BadSignature, match="twin"):
        open_message(twin.encode(), _registry(reading, Algorithm.ES256), reading.end)


def test_another_devices_key_is_refused(reading: Reading) -> None:
    with pytest.raises(WrongDevice):
        open_message(sign(reading, _key("home-002")), _registry(reading), reading.end)


def test_a_key_that_was_never_entered_is_refused(reading: Reading) -> None:
    with pytest.raises(UnknownKey):
        open_message(sign(reading, _key("home-003")), _registry(reading), reading.end)


def test_another_key_under_a_known_name_is_refused(reading: Reading) -> None:
    honest = parse_sign1(sign(reading, _key()))
    forged = replace(honest, signature=_key("home-002").sign(b"anything"))
    with pytest.raises(BadSignature):
        open_message(forged.encode(), _registry(reading), reading.end)


def test_a_revoked_key_counts_for_messages_that_came_before(reading: Reading) -> None:
    registry, raw = _registry(reading).revoke(_key().public_key.kid, reading.end), sign(reading, _key())
    assert open_message(raw, registry, reading.end - timedelta(seconds=1)) == reading
    with pytest.raises(KeyRevoked):
        open_message(raw, registry, reading.end)


def test_a_rotated_key_counts_for_its_intervals_however_late_they_come(reading: Reading) -> None:
    following = DeviceKey.simulated(1, "home-001", 1)
    registry = _registry(reading).rotate("home-001", following.public_key, reading.end)
    after = replace(reading, start=reading.end)
    late = reading.end + timedelta(days=3)
    assert open_message(sign(reading, _key()), registry, late) == reading
    assert open_message(sign(after, following), registry, late) == after
    for wrong in (sign(after, _key()), sign(reading, following)):
        with pytest.raises(KeyNotValid):
            open_message(wrong, registry, late)


def _enveloped(reading: Reading, headers: dict[object, object], unprotected: dict[object, object] | None = None) -> bytes:
    """A message with any headers, honestly signed."""
    protected, payload = cbor2.dumps(headers, canonical=True), reading.encode()
    signature = _key().sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    return Sign1(protected, {}, unprotected or {}, payload, signature).encode()


def test_headers_other_than_the_two_are_refused(reading: Reading) -> None:
    kid = _key().public_key.kid
    assert open_message(_enveloped(reading, {ALG: -8, KID: kid}), _registry(reading), reading.end) == reading
    for headers, unprotected in (
        ({ALG: -8, KID: kid, CRIT: [99], 99: 1}, {}),
        ({ALG: -8, KID: kid, 3: 0}, {}),
        ({ALG: -8}, {KID: kid}),
        ({KID: kid}, {ALG: -8}),
        ({ALG: -8, KID: kid}, {3: 0}),
        ({ALG: -8, KID: kid}, {KID: kid}),
        ({ALG: -8, KID: kid}, {CRIT: [99]}),
        ({ALG: -8, KID: "home-001"}, {}),
        ({ALG: -8, KID: [kid]}, {}),
    ):
        with pytest.raises(MalformedMessage):
            open_message(_enveloped(reading, headers, unprotected), _registry(reading), reading.end)


def test_a_critical_header_is_refused_before_any_key_is_asked() -> None:
    sign1 = parse_sign1(EDDSA_01)
    for critical in (
        replace(sign1, protected=cbor2.dumps({ALG: -8, CRIT: [99], 99: 0}, canonical=True)),
        replace(sign1, unprotected={CRIT: [99]}),
    ):
        with pytest.raises(MalformedMessage, match="critical"):
            parse_sign1(critical.encode())


def test_headers_that_say_a_thing_twice_or_an_empty_map_at_length_are_no_message() -> None:
    sign1 = parse_sign1(EDDSA_01)
    for bad in (replace(sign1, unprotected={ALG: -8}), replace(sign1, protected=b"\xa0"), replace(sign1, protected=b"\x80")):
        with pytest.raises(MalformedMessage):
            parse_sign1(bad.encode())
    assert parse_sign1(replace(sign1, protected=b"").encode()).headers == {}


@pytest.mark.parametrize("algorithm", [-7, -35, 0, -8.0, "EdDSA", None, True])
def test_an_algorithm_that_is_not_the_keys_is_refused(reading: Reading, algorithm: object) -> None:
    headers = {ALG: algorithm, KID: _key().public_key.kid}
    with pytest.raises(WrongAlgorithm):
        open_message(_enveloped(reading, headers), _registry(reading), reading.end)


def test_another_encoding_of_the_same_message_is_refused(reading: Reading) -> None:
    raw, kid = sign(reading, _key()), _key().public_key.kid
    tagged = cbor2.loads(raw)
    protected, unprotected, payload, signature = tagged.value
    backward = b"\xa2\x04\x48" + kid + b"\x01\x27"
    assert cbor2.loads(backward) == cbor2.loads(protected)
    others = [
        raw + b"\x00",
        b"\xd8\x12" + raw[1:],
        raw[:1] + b"\x98\x04" + raw[2:],
        raw[:1] + b"\x9f" + raw[2:] + b"\xff",
        raw[1:],
        b"\xd3" + raw[1:],
        cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, payload])),
        cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, None, signature])),
        cbor2.dumps(cbor2.CBORTag(18, [protected, [], payload, signature])),
        Sign1(backward, {}, {}, payload, _key().sign(cbor2.dumps(["Signature1", backward, b"", payload]))).encode(),
        Sign1(b"", {}, {}, payload, signature).encode(),
        Sign1(b"\xa0", {}, {}, payload, signature).encode(),
        Sign1(
            protected, {}, {}, payload + b"\x00", _key().sign(cbor2.dumps(["Signature1", protected, b"", payload + b"\x00"]))
        ).encode(),
        b"",
        bytes(MAX_BYTES + 1),
    ]
    for other in others:
        with pytest.raises(MalformedMessage):
            open_message(other, _registry(reading), reading.end)
    assert open_message(raw, _registry(reading), reading.end) == reading


def test_a_repeated_or_moved_message_still_opens_and_gives_itself_away(reading: Reading) -> None:
    first = sign(reading, _key())
    second = sign(replace(reading, sequence=301, previous=message_hash(first), start=reading.end), _key())
    opened = [open_message(raw, _registry(reading), reading.end + timedelta(days=1)) for raw in (second, first, first)]
    assert [each.sequence for each in opened] == [301, 300, 300]
    assert opened[0].previous == message_hash(first)
    assert opened[0].previous != message_hash(second)
