"""What the journal of a job says about the question "why did it not arrive?"; pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from hookcast.jobs import EndedBy, JobStatus
from hookcast.journal.lines import ROOM, Event

_STREAMS = frozenset({"sse", "websocket"})
_POLLS = frozenset({"long_poll", "poll"})


class Finding(NamedTuple):
    """One sentence about the job, and what to do where something is wrong. `code` is stable."""

    code: str
    message: str


class Shown(NamedTuple):
    """A line of the journal: its event, time and facts."""

    event: str
    at: datetime
    facts: Mapping[str, Any]


class Case(NamedTuple):
    """A job as far as it matters here, and its journal in the order of times."""

    status: JobStatus
    ended_by: EndedBy | None
    error: str | None
    lines: Sequence[Shown]

    def of(self, *events: Event) -> list[Shown]:
        """Return the lines of these events."""
        return [line for line in self.lines if line.event in events]


_REFUSED: Mapping[str, str] = {
    "timestamp_out_of_range": "their time was more than 5 minutes off. Check the clock of this server (chrony, NTP), "
    "and whether something between fal and the server holds webhooks back",
    "user_mismatch": "they were signed for another fal account than HOOKCAST_FAL_USER_ID. If they are yours, correct "
    "the setting",
    "signature_invalid": "their signature did not match. Something between fal and the server changes the body, or "
    "they do not come from fal",
    "signature_missing": "fal's signature headers were missing. Let the proxy pass on X-Fal-Webhook-*",
    "malformed": "their body was not a webhook of fal",
    "too_large": "they were larger than HOOKCAST_MAX_WEBHOOK_BYTES. Raise the limit",
    "store_unavailable": "the database did not answer. fal repeats them; see the log for the database's error",
    "keys_unavailable": "fal's public keys could not be fetched. Check that the server reaches HOOKCAST_FAL_JWKS_URL",
}
_WATCH_REFUSED: Mapping[str, str] = {
    "token_expired": "its token had expired. Let getToken return a new one",
    "token_invalid": "its token is not valid here. Sign it with HOOKCAST_TOKEN_SECRET",
    "unauthorized": "it sent no token",
    "origin_not_allowed": "its page's origin is not allowed. Add it to HOOKCAST_ALLOWED_ORIGINS",
    "job_not_found": "its token does not show this job. Name the job, its group or its owner in the token",
}


def findings(case: Case) -> list[Finding]:
    """Return what explains the state of the job and what its watchers saw, in the order of its way."""
    return [finding for rule in _RULES for finding in rule(case)]


def _webhooks(case: Case) -> Iterator[Finding]:
    for code in dict.fromkeys(str(line.facts.get("code")) for line in case.of(Event.REFUSED)):
        lines = [line for line in case.of(Event.REFUSED) if line.facts.get("code") == code]
        count = sum(int(line.facts.get("count", 1)) for line in lines)
        why = _REFUSED.get(code, f"of {code}")
        times = "1 webhook" if count == 1 else f"{count} webhooks"
        yield Finding(f"webhook_{code}", f"{times} for this job {'was' if count == 1 else 'were'} refused: {why}.")


def _way(case: Case) -> Iterator[Finding]:
    accepted = [line for line in case.of(Event.WEBHOOK) if line.facts.get("answer") == "accepted"]
    if case.status.terminal and case.ended_by is EndedBy.ASKED and not accepted:
        yield Finding(
            "webhook_lost",
            "No webhook of fal ended this job: Hookcast asked fal for the outcome. If this happens often, check that "
            "fal reaches HOOKCAST_PUBLIC_URL (a proxy, a firewall, a redirect).",
        )
    if case.ended_by is EndedBy.TIMEOUT:
        yield Finding(
            "timed_out", "Neither a webhook nor fal's answers ended this job within HOOKCAST_JOB_TIMEOUT_SECONDS."
        )
    asked = case.of(Event.ASKED)
    if not case.status.terminal:
        last = f" fal's last answer: {asked[-1].facts.get('answer')}." if 0 < len(asked) < ROOM else ""
        yield Finding("not_ended", f"fal has not reported the end of this job.{last}")


def _outcome(case: Case) -> Iterator[Finding]:
    if case.status is JobStatus.FAILED and case.ended_by is not EndedBy.TIMEOUT:
        yield Finding("fal_failed", f"fal reported that the job failed: {case.error}")
    if case.status is JobStatus.CANCELLED:
        yield Finding("cancelled", "The job was cancelled.")
    for line in case.of(Event.FILE_LEFT):
        number = int(line.facts.get("file", 0)) + 1
        yield Finding("file_not_kept", f"File {number} was not kept and stays at fal: {line.facts.get('error')}")


def _retries(case: Case) -> Iterator[Finding]:
    for line in case.of(Event.RETRIED):
        yield Finding("retried", f"It was submitted again, as {line.facts.get('as')}.")


def _watchers(case: Case) -> Iterator[Finding]:
    for line in case.of(Event.WATCH_REFUSED):
        code = str(line.facts.get("code"))
        origin = f" ({line.facts['origin']})" if "origin" in line.facts else ""
        yield Finding(f"watch_{code}", f"A client{origin} could not watch this job: {_WATCH_REFUSED.get(code, code)}.")
    for line in case.of(Event.WATCH_CLOSED):
        reason = line.facts.get("reason")
        if reason == "token_expired":
            yield Finding(
                "watch_token_expired",
                "A client's stream was closed because its token expired. Let getToken return a new one.",
            )
        elif reason == "slow":
            yield Finding("watch_slow", "A client's stream was closed because it did not read for 30 seconds.")
    yield from _transports(case)
    ended, pushed = case.of(Event.ENDED), case.of(Event.PUSHED)
    if pushed:
        count = sum(int(line.facts.get("to", 0)) for line in pushed)
        yield Finding("pushed", f"The end was pushed to {count} stream{'s' if count != 1 else ''}.")
    elif ended and not case.of(Event.WATCHED):
        yield Finding("never_watched", "No client has watched or read this job by its requestId.")
    elif ended:
        yield Finding("read", "No stream was open when the job ended; clients that came later read the outcome.")


def _transports(case: Case) -> Iterator[Finding]:
    by_stream = [line for line in case.of(Event.WATCHED) if line.facts.get("transport") in _STREAMS]
    if not by_stream:
        return
    later = [
        line for line in case.of(Event.WATCHED) if line.facts.get("transport") in _POLLS and line.at > by_stream[0].at
    ]
    if later:
        first = by_stream[0].facts["transport"]
        yield Finding(
            "fell_back",
            f"A client fell back from {first} to {later[0].facts['transport']}: something between it and the server (a "
            'proxy) holds streams back or blocks them. See docs/operations.md, "Behind a proxy".',
        )


def _backend(case: Case) -> Iterator[Finding]:
    told = case.of(Event.TOLD)
    for name in dict.fromkeys(str(line.facts.get("type")) for line in told):
        lines = [line for line in told if line.facts.get("type") == name]
        last = lines[-1]
        if last.facts.get("status") == 410:
            yield Finding("backend_gone", f"Your backend answered 410 to {name}: it does not want to be told.")
            continue
        if last.facts.get("ok"):
            yield Finding("told", f"Your backend was told {name} at attempt {last.facts.get('attempt', 1)}.")
            continue
        status, error = last.facts.get("status"), last.facts.get("error")
        said = f"could not be told {name} ({error})" if status is None else f"answered {status} to {name}"
        then = f"the next attempt is at {last.facts['next']}" if "next" in last.facts else "Hookcast has given up"
        attempts = f"{len(lines)} attempt{'s' if len(lines) > 1 else ''}"
        yield Finding(
            "backend_failed",
            f"Your backend {said} in {attempts}; {then}. Fix it, then: hookcast jobs redeliver.",
        )


_RULES: tuple[Callable[[Case], Iterator[Finding]], ...] = (_webhooks, _way, _outcome, _retries, _watchers, _backend)
