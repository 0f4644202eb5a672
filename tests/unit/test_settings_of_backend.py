"""Settings of the backend to tell that cannot work are refused at the start, not at the first event."""

import re

import pytest

from hookcast.errors import SettingsError
from hookcast.settings import load_settings

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_what_the_backend_is_told_needs_a_secret() -> None:
    """The refusal says how to make one."""
    with pytest.raises(SettingsError, match=r"HOOKCAST_FORWARD_SECRET.*whsec_.*openssl"):
        load_settings(forward_url="https://app.example.com/hook")


@pytest.mark.parametrize("secret", ["x", "whsec_x", f"{WHSEC},{WHSEC}x"])
def test_a_secret_that_cannot_sign_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(SettingsError, match="HOOKCAST_FORWARD_SECRET: must be whsec_") as caught:
        load_settings(forward_url="https://app.example.com/hook", forward_secret=secret)
    assert "MfKQ" not in str(caught.value)


@pytest.mark.parametrize("name", ["forward_url", "forward_fal"])
@pytest.mark.parametrize(
    "url",
    [
        *("app.example.com/hook", "ftp://app.example.com", "https://a.example/#x", "http://"),
        *("https://a.example/\thook", "https://a.example/\nhook", "https://a.example/\x7f", "https://a.example/a b"),
        *("https://a.example/\u200bhook", "https://\u200ba.example/", "https://\xa0a.example/", "https://a;b/"),
        *(
            "https://a.example,https://b.example/",
            "https://[::1]x/",
            "https://[::1",
            "https://a..example/",
            "https://é;/",
        ),
        *("https://a.example:99999/", "https://a.example:x/", "https://a\\b.example/"),
    ],
)
def test_an_address_of_a_backend_that_cannot_work_is_refused(name: str, url: str) -> None:
    with pytest.raises(SettingsError, match=f"HOOKCAST_{name.upper()}: must be an http:// or https:// URL"):
        load_settings(**{name: url}, forward_secret=WHSEC)


@pytest.mark.parametrize("password", ["s3/cret", "s3#cret", "s3?cret", "s3\u2100cret", "s3 cret"])
def test_a_password_that_is_not_percent_encoded_is_not_shown(password: str) -> None:
    """What precedes the character would be the port."""
    with pytest.raises(SettingsError, match="HOOKCAST_FORWARD_URL: must be an http:// or https:// URL") as caught:
        load_settings(forward_url=f"https://user:{password}@app.example.com/hook", forward_secret=WHSEC)
    assert not {"s3", "cret"} & set(re.findall(r"\w+", str(caught.value)))


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:3000/hook", "http://[::1]:3000/hook", "https://bücher.example/ü?é=1", "http://backend/"),
        *("http://my_backend.svc.cluster.local:8080/x", "https://user:p%40ss@a.example:443/x/?y=%20"),
    ],
)
def test_an_address_of_a_backend_is_taken_as_it_is(url: str) -> None:
    told = load_settings(forward_url=url, forward_secret=WHSEC).forward_url
    assert told is not None
    assert told.get_secret_value() == url


def test_the_backend_is_told_the_ends_of_jobs_unless_the_settings_name_others() -> None:
    """And nothing without its address, which is kept as it is."""
    url = "https://user:password@app.example.com/hook/?key=abc"
    told = load_settings(forward_url=url, forward_secret=f"{WHSEC}, {WHSEC}")
    assert told.forward_url is not None
    assert told.forward_url.get_secret_value() == url
    assert len(told.forward_keys) == 2
    assert sorted(told.told_events) == ["job.cancelled", "job.completed", "job.failed"]
    assert not {"password", "abc", "MfKQ"} & set(re.findall(r"\w+", repr(told)))
    given = load_settings(forward_url=url, forward_secret=WHSEC, forward_events="job.failed, job.started")
    assert sorted(given.told_events) == ["job.failed", "job.started"]
    assert load_settings(forward_secret=WHSEC).told_events == frozenset()


@pytest.mark.parametrize("names", ["completed", "job.completed,job.done", ",", "JOB.FAILED"])
def test_an_event_of_another_name_is_refused(names: str) -> None:
    """With the names that there are."""
    with pytest.raises(SettingsError, match=r"HOOKCAST_FORWARD_EVENTS: must be some of job\.completed, job\.failed"):
        load_settings(forward_events=names)
