"""The settings of identity providers."""

import pytest

from hookcast.errors import SettingsError
from hookcast.settings import load_settings
from hookcast.trust import Trust, path_of

A = {"token_jwks_url": "https://a.test/keys", "token_issuer": "https://a.test/", "token_audience": "app"}


def test_one_provider() -> None:
    trust = Trust(jwks_url="https://a.test/keys", issuers=("https://a.test/",), audiences=("app",))
    assert load_settings(**A).providers == (trust,)
    assert load_settings(**{**A, "token_audience": ""}).providers[0].audiences == ()


def test_no_provider() -> None:
    assert load_settings().providers == ()


def test_several_providers_are_separated_by_commas_and_their_values_by_blanks() -> None:
    settings = load_settings(
        token_jwks_url="https://a.test/keys, https://b.test/keys?p=1,https://c.test/keys",
        token_issuer="https://a.test/, https://b.test b.test,c",
        token_audience="app  other,,third",
        token_user_claim="sub, oid, app_metadata.id",
    )
    assert settings.providers == (
        Trust(jwks_url="https://a.test/keys", issuers=("https://a.test/",), audiences=("app", "other")),
        Trust(jwks_url="https://b.test/keys?p=1", issuers=("https://b.test", "b.test"), user=("oid",)),
        Trust(jwks_url="https://c.test/keys", issuers=("c",), audiences=("third",), user=("app_metadata", "id")),
    )


def test_one_user_claim_and_no_audience_count_for_all() -> None:
    two = {"token_jwks_url": "https://a.test/k,https://b.test/k", "token_issuer": "a,b"}
    assert [trust.user for trust in load_settings(**two, token_user_claim="oid").providers] == [("oid",)] * 2
    assert [trust.audiences for trust in load_settings(**two).providers] == [(), ()]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"token_issuer": ""}, "HOOKCAST_TOKEN_ISSUER: also required"),
        ({"token_jwks_url": ""}, "HOOKCAST_TOKEN_JWKS_URL: also required"),
        ({"token_issuer": "a,b"}, "HOOKCAST_TOKEN_ISSUER: must have one part for each of the 1"),
        ({"token_audience": "a,b"}, "HOOKCAST_TOKEN_AUDIENCE: must have .* by blanks"),
        ({"token_user_claim": "a,b"}, "HOOKCAST_TOKEN_USER_CLAIM: must have one part"),
        ({"token_user_claim": "a..b"}, "HOOKCAST_TOKEN_USER_CLAIM: must be the name of a claim"),
        ({"token_issuer": "a a"}, "HOOKCAST_TOKEN_ISSUER: a is listed more than once"),
        ({"token_jwks_url": "https://a.test/k,https://b.test/k", "token_issuer": "a,"}, "HOOKCAST_TOKEN_ISSUER: must"),
        ({"token_jwks_url": "https://a.test/k https://b.test/k"}, "HOOKCAST_TOKEN_JWKS_URL"),
        ({"token_jwks_url": "https://a.test/k,,"}, "HOOKCAST_TOKEN_JWKS_URL"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_the_setting_to_change(wrong: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load_settings(**{name: value for name, value in {**A, **wrong}.items() if value})


@pytest.mark.parametrize(
    ("claim", "path"),
    [
        ("sub", ("sub",)),
        ("custom:user_id", ("custom:user_id",)),
        ("app_metadata.user.id", ("app_metadata", "user", "id")),
        ("https://app.example.com/user.id", ("https://app.example.com/user.id",)),
    ],
)
def test_dots_lead_into_objects_unless_the_name_has_a_slash(claim: str, path: tuple[str, ...]) -> None:
    assert path_of(claim) == path
