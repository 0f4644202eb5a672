"""fal's public keys: how long they are kept, when they are asked for again, and what is made of broken ones."""

import asyncio
import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from msgspec import json
from nacl.signing import SigningKey

from hookcast.errors import KeysUnavailable, SignatureInvalid, StoreUnavailable
from hookcast.fal.keys import FalKeys, parse_jwks
from hookcast.fal.signature import SignedHeaders
from hookcast.jwks import MAX_DOCUMENT_BYTES, StoredKeys
from support.fal import JWKS, FalDouble, jwk, sign
from support.push import settle

pytestmark = pytest.mark.anyio

BODY = b"{}"


@dataclass
class Memory:
    """Where the last good document is kept; `broken` = the database is away."""

    stored: StoredKeys | None = None
    broken: bool = False

    async def load_keys(self, url: str) -> StoredKeys | None:
        """The document, if it is of this URL."""
        self._check()
        return self.stored if self.stored is not None and self.stored.url == url else None

    async def save_keys(self, keys: StoredKeys) -> None:
        """Replace it."""
        self._check()
        self.stored = keys

    def _check(self) -> None:
        if self.broken:
            raise StoreUnavailable("The database is away.")


@dataclass
class World:
    """fal, the database and a clock that only the test moves."""

    fal: FalDouble = field(default_factory=FalDouble)
    memory: Memory = field(default_factory=Memory)
    now: datetime = datetime(2026, 11, 23, 10, tzinfo=UTC)

    def keys(self) -> FalKeys:
        """The keys of a server that has just started."""
        return FalKeys(httpx.AsyncClient(transport=self.fal), JWKS, self.memory, lambda: self.now)

    def signed(self, key: SigningKey | None = None) -> SignedHeaders:
        """The headers of a webhook that is sent now."""
        return SignedHeaders.read(sign(BODY, key or self.fal.key, timestamp=self.now.timestamp()))

    def store(self, document: bytes, *, age: timedelta = timedelta(0)) -> None:
        """Put a document into the database."""
        self.memory.stored = StoredKeys(url=JWKS, document=document, fetched_at=self.now - age)

    @property
    def asked(self) -> int:
        """How often fal was asked for its keys."""
        return len(self.fal.requests)


def document(*keys: object) -> bytes:
    """A JWKS."""
    return json.encode({"keys": keys})


async def test_keys_are_kept_for_a_day_and_no_longer() -> None:
    """One request until the 24 hours are over, then the next."""
    world = World()
    keys = world.keys()
    for hours, asked in ((0, 1), (12, 1), (23, 1), (24, 2), (47, 2), (48, 3)):
        world.now = datetime(2026, 11, 23, tzinfo=UTC) + timedelta(hours=hours)
        await keys.verify(world.signed(), BODY)
        await settle()
        assert world.asked == asked, hours


async def test_a_restart_goes_on_with_the_age_of_the_stored_keys() -> None:
    """Young enough: fal is not asked. A day old: it is."""
    world = World()
    world.store(document(jwk(world.fal.key)), age=timedelta(hours=23))
    keys = world.keys()
    await keys.verify(world.signed(), BODY)
    assert world.asked == 0
    world.now += timedelta(hours=1)
    await keys.verify(world.signed(), BODY)
    await settle()
    assert world.asked == 1


async def test_unknown_keys_ask_again_three_times_and_then_every_twenty_seconds() -> None:
    """A stranger cannot make the server ask fal all the time."""
    world = World()
    keys, stranger = world.keys(), SigningKey.generate()
    await keys.verify(world.signed(), BODY)
    for seconds, asked in ((0, 2), (0, 3), (0, 4), (0, 4), (19, 4), (20, 5), (39, 5), (40, 6), (120, 7), (120, 8)):
        world.now = datetime(2026, 11, 23, 10, tzinfo=UTC) + timedelta(seconds=seconds)
        with pytest.raises(SignatureInvalid):
            await keys.verify(world.signed(stranger), BODY)
        assert world.asked == asked, seconds
    await keys.verify(world.signed(), BODY)


async def test_a_new_key_is_trusted_with_its_first_webhook() -> None:
    """Also right after a forged webhook; the old keys go when fal no longer publishes them."""
    world = World()
    keys, old, new = world.keys(), world.fal.key, SigningKey.generate()
    await keys.verify(world.signed(old), BODY)
    with pytest.raises(SignatureInvalid):
        await keys.verify(world.signed(SigningKey.generate()), BODY)
    world.fal.keys = [new]
    await keys.verify(world.signed(new), BODY)
    assert world.asked == 3
    with pytest.raises(SignatureInvalid):
        await keys.verify(world.signed(old), BODY)


async def test_callers_that_come_together_share_one_request() -> None:
    """At the start, and when an unknown key asks for a refresh."""
    world = World()
    keys = world.keys()
    await asyncio.gather(*(keys.verify(world.signed(), BODY) for _ in range(20)))
    assert world.asked == 1
    world.fal.keys = [newer := SigningKey.generate()]
    world.now += timedelta(minutes=2)
    await asyncio.gather(*(keys.verify(world.signed(newer), BODY) for _ in range(20)))
    assert world.asked == 2


async def test_known_keys_serve_while_the_address_hangs() -> None:
    """However often webhooks come: none waits, and one request is under way, once a minute."""
    world = World()
    keys = world.keys()
    await keys.verify(world.signed(), BODY)
    world.fal.gate.clear()
    for minutes in range(1440, 1450):
        world.now = datetime(2026, 11, 23, 10, tzinfo=UTC) + timedelta(minutes=minutes)
        async with asyncio.timeout(4):  # less than the deadline of a request
            for _ in range(20):
                await keys.verify(world.signed(), BODY)
    await settle()
    assert world.asked == 2
    world.fal.gate.set()
    await settle()
    await keys.verify(world.signed(), BODY)
    assert world.asked == 2
    await keys.aclose()


async def test_a_request_under_way_ends_with_the_server() -> None:
    """Its task is cancelled, and leaves nothing."""
    world = World()
    world.store(document(jwk(world.fal.key)), age=timedelta(days=2))
    world.fal.gate.clear()
    keys = world.keys()
    await keys.verify(world.signed(), BODY)
    before = asyncio.all_tasks()
    await keys.aclose()
    assert len(before - asyncio.all_tasks()) == 1


async def test_a_caller_that_leaves_takes_no_request_with_it() -> None:
    """Others wait for the same one."""
    world = World()
    world.fal.gate.clear()
    keys = world.keys()
    callers = [asyncio.ensure_future(keys.verify(world.signed(), BODY)) for _ in range(2)]
    await settle()
    callers[0].cancel()
    await settle()
    world.fal.gate.set()
    await callers[1]
    assert world.asked == 1


@pytest.mark.parametrize("age", [timedelta(hours=1), timedelta(days=30)])
async def test_the_last_good_keys_are_kept_while_fal_is_down(age: timedelta) -> None:
    """However old they are: a webhook that is refused today is lost when fal is back."""
    world = World()
    world.store(document(jwk(world.fal.key)), age=age)
    world.fal.down = True
    keys = world.keys()
    await keys.verify(world.signed(), BODY)
    assert await keys.available()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(302, headers={"location": "https://elsewhere.test/"}),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, content=b'{"keys": []}'),
        httpx.Response(200, content=b" " * (MAX_DOCUMENT_BYTES + 1)),
        httpx.DecodingError("not gzip"),
    ],
)
async def test_a_broken_answer_replaces_no_good_keys(answer: httpx.Response | Exception) -> None:
    """Neither in memory nor in the database."""
    world = World()
    keys = world.keys()
    await keys.verify(world.signed(), BODY)
    good = world.memory.stored
    world.fal.script(JWKS.rpartition("/")[2], answer)
    world.now += timedelta(days=2)
    await keys.verify(world.signed(), BODY)
    await settle()
    assert world.asked == 2
    assert world.memory.stored == good


async def test_without_any_key_nothing_is_verified_until_fal_answers() -> None:
    """fal is asked again after a second, and then it works."""
    world = World()
    keys = world.keys()
    world.fal.down = True
    for _ in range(3):
        with pytest.raises(KeysUnavailable):
            await keys.verify(world.signed(), BODY)
    assert not await keys.available()
    assert world.asked == 1
    world.fal.down = False
    world.now += timedelta(seconds=1)
    await keys.verify(world.signed(), BODY)


async def test_a_database_that_is_away_is_no_obstacle() -> None:
    """The keys come from fal, and are only not kept."""
    world = World(memory=Memory(broken=True))
    await world.keys().verify(world.signed(), BODY)
    assert world.memory.stored is None


@pytest.mark.parametrize("stored", [b"", b"\xff\x00", b"<html>", b"[]", b'{"keys": []}', b'{"keys": [{"x": 5}]}'])
async def test_a_corrupt_stored_document_is_replaced(stored: bytes) -> None:
    """It neither refuses nor crashes a webhook."""
    world = World()
    world.store(stored)
    await world.keys().verify(world.signed(), BODY)
    assert world.memory.stored is not None
    assert parse_jwks(world.memory.stored.document)


async def test_a_corrupt_stored_document_while_fal_is_down_is_told_as_missing_keys() -> None:
    """503, so that fal sends the webhook again."""
    world = World()
    world.store(b"corrupt")
    world.fal.down = True
    with pytest.raises(KeysUnavailable):
        await world.keys().verify(world.signed(), BODY)


@pytest.mark.parametrize("padded", [True, False])
def test_x_may_be_padded_or_not(padded: bool) -> None:
    """RFC 7515 leaves the padding out; fal's documents have been seen with it."""
    key = SigningKey.generate()
    entry = jwk(key, padded=padded)
    assert entry["x"].endswith("=") is padded
    assert parse_jwks(document(entry)) == (key.verify_key,)


def test_keys_of_another_kind_or_shape_are_passed_over() -> None:
    """They do not make the good ones useless."""
    good = SigningKey.generate()
    short = base64.urlsafe_b64encode(b"short").decode()
    others = [
        {"kty": "RSA", "n": "x", "e": "AQAB"},
        {"kty": "OKP", "crv": "X25519", "x": jwk(good)["x"]},
        {"kty": "OKP", "crv": "Ed25519", "x": short},
        {"kty": "OKP", "crv": "Ed25519", "x": "é"},
        {"kty": "OKP", "crv": "Ed25519", "x": None},
        {"kty": "OKP", "crv": "Ed25519"},
        "no key",
        None,
    ]
    assert parse_jwks(document(*others, jwk(good), *others)) == (good.verify_key,)
    with pytest.raises(ValueError, match="no Ed25519 key"):
        parse_jwks(document(*others))
    with pytest.raises(ValueError, match="not a JWKS"):
        parse_jwks(b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b', "keys": []}')
