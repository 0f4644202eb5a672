"""Who is let in as whom."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookcast.auth import EVERYBODY, NOBODY, Gate, Grant, Provider, mint
from hookcast.auth.published import parse_keys
from hookcast.errors import AccessError, KeysUnavailable, TokenExpired, TokenInvalid, Unauthorized
from hookcast.jwks import PublishedKeys, StoredKeys
from hookcast.trust import Trust
from support.access import (
    A_DAY,
    API_KEY,
    AUDIENCE,
    ISSUER,
    JWKS_PATH,
    SECOND_KEY,
    SECRET,
    IdentityProvider,
    token,
    unsigned,
)
from support.fal import FalDouble

pytestmark = pytest.mark.anyio


@dataclass
class World:
    """A gate, the identity provider behind it, and a clock."""

    idp: IdentityProvider = field(default_factory=IdentityProvider)
    net: FalDouble = field(default_factory=FalDouble)
    now: float = field(default_factory=time.time)
    kept: StoredKeys | None = None

    def __post_init__(self) -> None:
        self.net.script(JWKS_PATH, self.idp.answer())

    async def load_keys(self, _url: str) -> StoredKeys | None:
        """What the database has."""
        return self.kept

    async def save_keys(self, keys: StoredKeys) -> None:
        """Keep it."""
        self.kept = keys

    def gate(self) -> Gate:
        """A gate that takes every kind of credential."""
        client = httpx.AsyncClient(transport=self.net)
        url = f"https://project.idp.test{JWKS_PATH}"
        keys = PublishedKeys(client, url, self, lambda: datetime.fromtimestamp(self.now, UTC), parse_keys)
        provider = Provider(keys, Trust(jwks_url=url, issuers=(ISSUER,), audiences=(AUDIENCE,)))
        return Gate(lambda: self.now, api_keys=(API_KEY, SECOND_KEY), secrets=(SECRET,), providers=(provider,))


@pytest.fixture(scope="module")
def idp() -> IdentityProvider:
    """Its keys are slow to make."""
    return IDP


@pytest.fixture
def world(idp: IdentityProvider) -> World:
    """A fresh gate's surroundings."""
    return World(idp=idp)


async def test_without_any_setting_the_gate_is_open() -> None:
    for credential in (None, "", "anything", "a.b.c"):
        assert await Gate(time.time).admit(credential) is EVERYBODY


async def test_each_api_key_has_full_access(world: World) -> None:
    """And callers can be told apart without the key."""
    first, second = [await world.gate().admit(key) for key in (API_KEY, SECOND_KEY)]
    assert first.full
    assert second.full
    assert first.name != second.name
    assert API_KEY not in repr(first)


@pytest.mark.parametrize("credential", ["", None])
async def test_nothing_makes_nobody(world: World, credential: str | None) -> None:
    """A WebSocket may say later who it is."""
    assert await world.gate().admit(credential) is NOBODY


@pytest.mark.parametrize(
    "credential", ["wrong", API_KEY[:-1], API_KEY + "x", API_KEY.upper(), f"{API_KEY}, {SECOND_KEY}"]
)
async def test_a_wrong_key_is_refused(world: World, credential: str) -> None:
    with pytest.raises(Unauthorized):
        await world.gate().admit(credential)


async def test_a_token_says_what_it_shows(world: World) -> None:
    expires_at = datetime.fromtimestamp(int(world.now) + 60, UTC)
    grant = Grant(sub="user-1", jobs=frozenset({"a", "b"}), groups=frozenset({"g"}))
    for made in (mint(grant, SECRET, expires_at=expires_at), token(sub="user-1", jobs=["a", "b"], groups=["g"], x=1)):
        caller = await world.gate().admit(made)
        assert (caller.full, caller.sub) == (False, "user-1")
        assert (caller.jobs, caller.groups) == (grant.jobs, grant.groups)


async def test_a_token_ends_on_the_second(world: World) -> None:
    """There is no leeway: streams end with it, too."""
    made = token(expires_in=60, sub="user-1")
    caller = await world.gate().admit(made)
    assert caller.expires_at is not None
    world.now = caller.expires_at - 0.001
    await world.gate().admit(made)
    world.now = caller.expires_at
    with pytest.raises(TokenExpired):
        await world.gate().admit(made)


async def test_a_token_that_is_known_ends_on_the_second_too(world: World) -> None:
    """The gate verifies it once, but looks at the clock each time."""
    gate, made = world.gate(), token(expires_in=60, sub="user-1")
    caller = await gate.admit(made)
    assert await gate.admit(made) is caller
    assert caller.expires_at is not None
    world.now = caller.expires_at
    with pytest.raises(TokenExpired):
        await gate.admit(made)


async def test_the_gate_knows_a_bounded_number_of_tokens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest and the longest ones are verified again."""
    monkeypatch.setattr("hookcast.auth.gate.KEPT_TOKENS", 2)
    gate = world.gate()
    long = token(jobs=[f"{'x' * 100}-{number}" for number in range(30)])
    made = [token(sub=f"user-{number}") for number in range(3)]
    callers = [await gate.admit(one) for one in (long, *made)]
    again = [await gate.admit(one) for one in (*made[1:], long)]
    assert again[0] is callers[2]
    assert again[1] is callers[3]
    assert again[2] is not callers[0]
    assert await gate.admit(made[0]) is not callers[1]


IDP = IdentityProvider()
WRONG: dict[str, Any] = {
    "no exp": token(expires_in=None, sub="user-1"),
    "exp as text": token(expires_in=None, sub="user-1", exp="9999999999"),
    "exp true": token(expires_in=None, sub="user-1", exp=True),
    "another secret": token("another-secret-0123456789-0123456789", sub="user-1"),
    "alg none": unsigned(sub="user-1"),
    "HS512": token(algorithm="HS512", key=SECRET * 2, sub="user-1"),
    "HS384 with the secret": token(SECRET + "0123456789", algorithm="HS384", sub="user-1"),
    "not yet valid": token(sub="user-1", nbf=int(time.time()) + 3600),
    "jobs is no list": token(jobs="job-1"),
    "jobs has numbers": token(jobs=[1]),
    "sub is a number": token(sub=1),
    "exp in milliseconds": token(expires_in=None, exp=int(time.time() * 1000) + 3_600_000, sub="user-1"),
    "exp in nanoseconds": token(expires_in=None, exp=time.time_ns(), sub="user-1"),
    "nbf in milliseconds": token(nbf=int(time.time() * 1000), sub="user-1"),
    "provider's exp in milliseconds": IDP.token(exp=int(time.time() * 1000)),
    "three parts": "a.b.c",
    "empty parts": "..",
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_token_is_refused(world: World, name: str) -> None:
    """With one answer, which says nothing of the secret."""
    with pytest.raises(TokenInvalid) as caught:
        await world.gate().admit(WRONG[name])
    assert SECRET not in str(caught.value)


async def test_every_secret_of_a_rotation_verifies() -> None:
    """A token of the old one is taken until the old one goes; expiry and claims count as ever."""
    gate, later = Gate(time.time, secrets=("n" * 32, SECRET)), Gate(time.time, secrets=("n" * 32,))
    for key in ("n" * 32, SECRET):
        assert (await gate.admit(token(key, sub="user-1"))).sub == "user-1"
        with pytest.raises(TokenExpired):
            await gate.admit(token(key, sub="user-1", expires_in=-1))
    with pytest.raises(TokenInvalid, match="claims"):
        await gate.admit(token(SECRET, jobs="no list"))
    for stranger, taken_by in (("o" * 32, gate), (SECRET, later)):
        with pytest.raises(TokenInvalid):
            await taken_by.admit(token(stranger, sub="user-1"))


async def test_a_time_in_milliseconds_is_told_as_such(world: World) -> None:
    """JavaScript's `Date.now() + 3600000` would never expire."""
    for name, made in WRONG.items():
        if "seconds" in name:
            with pytest.raises(TokenInvalid, match="seconds since 1970"):
                await world.gate().admit(made)


@pytest.mark.parametrize("claims", [{"groups": "x"}, {"jobs": 5}, {"groups": {"a": 1}, "jobs": None}, {"groups": [1]}])
async def test_a_providers_claims_of_our_names_do_not_refuse_its_token(world: World, claims: dict[str, Any]) -> None:
    """Whether it signs with its own keys or with the secret: the owner counts, and nothing else is shown."""
    for made in (token(sub="user-1", iss=ISSUER, role="authenticated", **claims), world.idp.token(**claims)):
        caller = await world.gate().admit(made)
        assert (caller.sub, caller.jobs, caller.groups) == ("user-1", frozenset(), frozenset())


async def test_a_providers_list_of_groups_shows_nothing(world: World) -> None:
    """Its groups are not ours."""
    caller = await world.gate().admit(world.idp.token(groups=["g"], jobs=["job-1"]))
    assert (caller.jobs, caller.groups) == (frozenset(), frozenset())


@given(st.integers(0, 200), st.integers(1, 255))
async def test_a_changed_token_is_refused(place: int, step: int) -> None:
    made = token(expires_in=600, sub="user-1", jobs=["job-1"]).encode()
    place %= len(made)
    changed = made[:place] + bytes([(made[place] + step) % 256]) + made[place + 1 :]
    gate = Gate(time.time, secrets=(SECRET,))
    try:
        caller = await gate.admit(changed.decode("latin-1"))
    except AccessError:
        return
    # Base64 leaves the last character's lowest bits unused, so that it has several spellings.
    assert caller == await gate.admit(made.decode())


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_users_token_of_the_provider_names_an_owner(world: World, algorithm: str) -> None:
    """And nothing else: what the provider calls jobs or groups is not ours."""
    made = world.idp.token(algorithm, jobs=["job-1"], groups=["g"], role="admin")
    caller = await world.gate().admit(made)
    assert (caller.full, caller.sub, caller.jobs, caller.groups) == (False, "user-1", frozenset(), frozenset())


async def test_a_providers_token_for_somebody_else_is_refused(world: World) -> None:
    """Issuer, audience, subject, time, key: each is checked."""
    idp = world.idp
    for wrong in (
        idp.token(iss="https://other.test"),
        idp.token(aud="anon"),
        idp.token(sub=""),
        idp.token(kid="unknown"),
        idp.token("ES256", kid=idp.kid("RS256")),
        IdentityProvider().token(),
        token(idp.public_pem().decode().replace("-----", "").strip(), iss=ISSUER, aud=AUDIENCE, sub="user-1"),
    ):
        with pytest.raises(TokenInvalid):
            await world.gate().admit(wrong)
    with pytest.raises(TokenExpired):
        await world.gate().admit(idp.token(expires_in=-3600))


async def test_a_new_key_of_the_provider_is_found(world: World) -> None:
    """By asking again, at once though a token with an unknown key came just before; and not all the time."""
    gate = world.gate()
    await gate.admit(world.idp.token())
    with pytest.raises(TokenInvalid):
        await gate.admit(world.idp.token(kid="unknown"))
    newer = IdentityProvider(generation=2)
    world.net.script(JWKS_PATH, newer.answer())
    assert (await gate.admit(newer.token())).sub == "user-1"
    assert len(world.net.requests) == 3
    for _ in range(5):
        with pytest.raises(TokenInvalid):
            await gate.admit(world.idp.token())
    assert len(world.net.requests) == 4
    world.now += 20
    with pytest.raises(TokenInvalid):
        await gate.admit(world.idp.token())
    assert len(world.net.requests) == 5


async def test_known_keys_of_a_provider_that_hangs_serve(world: World) -> None:
    """A day old, while a request for newer ones is under way."""
    gate = world.gate()
    await gate.admit(world.idp.token())
    fresh = world.idp.token(expires_in=2 * A_DAY)
    world.now += A_DAY + 60
    world.net.gate.clear()
    async with asyncio.timeout(4):  # less than the deadline of a request
        assert (await gate.admit(fresh)).sub == "user-1"
    await gate.aclose()


async def test_a_provider_that_is_down_takes_nothing_with_it(world: World) -> None:
    """Known keys go on; without any, keys and tokens of our own do."""
    await world.gate().admit(world.idp.token())
    world.net.down = True
    restarted = world.gate()
    assert (await restarted.admit(world.idp.token())).sub == "user-1"
    world.kept = None
    fresh = world.gate()
    with pytest.raises(KeysUnavailable):
        await fresh.admit(world.idp.token())
    assert (await fresh.admit(API_KEY)).full
    assert (await fresh.admit(token(sub="user-2"))).sub == "user-2"
