"""fal's URLs of a request: each for its purpose, and one built only where it is missing."""

from datetime import UTC, datetime

import pytest

from hookcast.errors import EndpointUnknown
from hookcast.fal.addresses import Addresses, addresses_of
from hookcast.jobs import Job
from support.fal import ENDPOINT, QUEUE

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BUILT = f"{QUEUE}/fal-ai/flux/requests/job-1"
OWN = f"{QUEUE}/own/job-1"


def addresses(
    response: str | None = None,
    status: str | None = None,
    cancel: str | None = None,
    *,
    endpoint: str | None = ENDPOINT,
    base: str = QUEUE,
) -> Addresses:
    """The URLs of a job whose submit answer had these."""
    job = Job(
        request_id="job-1",
        created_at=NOW,
        updated_at=NOW,
        endpoint_id=endpoint,
        response_url=response,
        status_url=status,
        cancel_url=cancel,
    )
    return addresses_of(job, base)


def below(root: str, result: str = "") -> Addresses:
    """The URLs that are built below a root."""
    return Addresses(
        result=root + result,
        status=f"{root}/status?logs=1",
        stream=f"{root}/status/stream?logs=1",
        cancel=f"{root}/cancel",
    )


def test_a_registered_job_has_none_so_all_are_built() -> None:
    assert addresses() == below(BUILT)


def test_each_url_of_the_submit_answer_serves_its_own_purpose() -> None:
    """They need not resemble each other; the stream is below the status."""
    assert addresses(f"{QUEUE}/a", f"{QUEUE}/b", f"{QUEUE}/c") == Addresses(
        result=f"{QUEUE}/a", status=f"{QUEUE}/b?logs=1", stream=f"{QUEUE}/b/stream?logs=1", cancel=f"{QUEUE}/c"
    )


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("suffix", ["", "/response"])
def test_missing_ones_derive_from_the_result_without_its_suffix(suffix: str, slash: str) -> None:
    """fal documents both shapes; a slash at the end belongs to the result alone."""
    assert addresses(f"{OWN}{suffix}{slash}", endpoint=None) == below(OWN, suffix + slash)


@pytest.mark.parametrize(
    ("status", "cancel"),
    [(f"{OWN}/status", None), (f"{OWN}/status/", None), (None, f"{OWN}/cancel"), (f"{OWN}/status", f"{OWN}/cancel")],
)
def test_missing_ones_derive_from_status_and_cancel_as_well(status: str | None, cancel: str | None) -> None:
    """Even for a job whose endpoint is unknown."""
    found = addresses(None, status, cancel, endpoint=None)
    assert found.result == OWN
    assert found.cancel == f"{OWN}/cancel"
    assert found.stream == f"{OWN}/status/stream?logs=1"


def test_a_query_is_kept_and_the_log_is_asked_for_once() -> None:
    """Parameters may be part of the address, and are not encoded anew."""
    assert addresses(f"{OWN}/response?r=%2F") == Addresses(
        result=f"{OWN}/response?r=%2F",
        status=f"{OWN}/status?r=%2F&logs=1",
        stream=f"{OWN}/status/stream?r=%2F&logs=1",
        cancel=f"{OWN}/cancel?r=%2F",
    )
    found = addresses(status=f"{OWN}/status?logs=0&a=1&logs")
    assert (found.status, found.stream) == (f"{OWN}/status?a=1&logs=1", f"{OWN}/status/stream?a=1&logs=1")


def test_credentials_and_fragments_are_dropped() -> None:
    named = QUEUE.replace("//", "//me:secret@")
    assert addresses(f"{named}/own/job-1#part", f"{named}/own/job-1/status#part") == below(OWN)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no url",
        "\0",
        "/x",
        "https://[::1/x",
        "https://elsewhere.test/x",
        "http://queue.fal.test/x",
        "https://queue.fal.test:8443/x",
        f"{QUEUE}\\@elsewhere.test/x",
        f"{QUEUE}.elsewhere.test/x",
        f"{QUEUE}/{'x' * 70_000}",
    ],
)
def test_urls_of_another_host_are_not_used(url: str) -> None:
    """The key goes to fal's own host only."""
    assert addresses(url, url, url) == below(BUILT)


def test_a_url_outside_of_the_queues_path_is_not_used() -> None:
    for path in ("queue2/x", "queue/../x", "x"):
        found = addresses(f"{QUEUE}/{path}", base=f"{QUEUE}/queue")
        assert found.result == f"{QUEUE}/queue/fal-ai/flux/requests/job-1"
    assert addresses(f"{QUEUE}/queue/x", base=f"{QUEUE}/queue").result == f"{QUEUE}/queue/x"


@pytest.mark.parametrize("endpoint", [None, "", "flux", "workflows/me", "../x"])
def test_without_urls_and_endpoint_there_is_nothing_to_ask(endpoint: str | None) -> None:
    """It says what to do."""
    with pytest.raises(EndpointUnknown, match="register it with PUT"):
        addresses(endpoint=endpoint)
