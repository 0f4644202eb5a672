"""Which tokens of which identity providers are accepted, as the settings name them; pure."""

from msgspec import Struct

_URLS, _ISSUERS = "HOOKCAST_TOKEN_JWKS_URL", "HOOKCAST_TOKEN_ISSUER"
_AUDIENCES, _CLAIM = "HOOKCAST_TOKEN_AUDIENCE", "HOOKCAST_TOKEN_USER_CLAIM"
USER_CLAIM = "sub"


class Trust(Struct, frozen=True, kw_only=True):
    """One identity provider: where its keys are, and what its tokens must say.

    `issuers` are accepted values of `iss`. A token's `aud` must name one of `audiences`; without an `aud`, its `azp` or
    `client_id` must. Without `audiences`, a token must have no `aud`. `user` is the path of the claim that holds the
    user's id.
    """

    jwks_url: str
    issuers: tuple[str, ...]
    audiences: tuple[str, ...] = ()
    user: tuple[str, ...] = (USER_CLAIM,)


def parse_trusts(urls: str, issuers: str, audiences: str, claims: str) -> tuple[Trust, ...]:
    """Return one Trust per provider, from the four settings: commas separate providers, blanks one provider's values.

    Raises ValueError with a sentence that names the settings to change.
    """
    if not (urls or issuers or audiences or claims != USER_CLAIM):
        return ()
    missing = [name for name, text in ((_URLS, urls), (_ISSUERS, issuers)) if not text]
    if missing:
        raise ValueError(f"{', '.join(missing)}: also required, to verify the tokens of your identity provider")
    count = len(_parts(urls))
    columns = (
        _column(_URLS, urls, count),
        [tuple(part.split()) for part in _column(_ISSUERS, issuers, count)],
        [tuple(part.split()) for part in _column(_AUDIENCES, audiences, count, empty=True)],
        [path_of(part) for part in _column(_CLAIM, claims, count, shared=True)],
    )
    found = tuple(
        Trust(jwks_url=url, issuers=named, audiences=meant, user=user)
        for url, named, meant, user in zip(*columns, strict=True)
    )
    _check_distinct([issuer for trust in found for issuer in trust.issuers])
    return found


def path_of(claim: str) -> tuple[str, ...]:
    """Return the names from the top of the claims to `claim`: dots lead into objects.

    A name with a slash is one name, dots included: namespaced claims are URLs, such as `https://example.com/user_id`.
    """
    path = (claim,) if "/" in claim else tuple(claim.split("."))
    if not all(path):
        raise ValueError(f"{_CLAIM}: must be the name of a claim, such as sub, user_id or app_metadata.user_id")
    return path


def _column(name: str, text: str, count: int, *, empty: bool = False, shared: bool = False) -> list[str]:
    """Return one part of the setting per provider. `shared` = a single one is everybody's; `empty` = none is fine."""
    parts = _parts(text)
    if len(parts) == 1 and (shared or (empty and not text)):
        parts *= count
    if len(parts) != count or not (empty or all(parts)):
        raise ValueError(
            f"{name}: must have one part for each of the {count} in {_URLS}, in the same order, separated by commas"
            + ("; separate several audiences of one provider by blanks" if name == _AUDIENCES else "")
        )
    return parts


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _check_distinct(issuers: list[str]) -> None:
    twice = sorted({issuer for issuer in issuers if issuers.count(issuer) > 1})
    if twice:
        raise ValueError(f"{_ISSUERS}: {', '.join(twice)} is listed more than once")
