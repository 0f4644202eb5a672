"""What a caller sees and may do, and what becomes of a connection's rights when it brings another token."""

import pytest

from hookcast.auth import EVERYBODY, NOBODY, Action, Caller
from hookcast.auth.caller import MAX_GATHERED, OWN
from hookcast.errors import Forbidden

ONE_JOB = Caller(jobs=frozenset({"job-1"}), expires_at=100)
ONE_GROUP = Caller(groups=frozenset({"g"}), expires_at=200)
ONE_USER = Caller(sub="user-1", expires_at=300)


@pytest.mark.parametrize(
    ("caller", "sees"),
    [
        (EVERYBODY, True),
        (NOBODY, False),
        (ONE_JOB, True),
        (ONE_GROUP, True),
        (ONE_USER, True),
        (Caller(jobs=frozenset({"job-2"})), False),
        (Caller(groups=frozenset({"h"})), False),
        (Caller(sub="user-2"), False),
    ],
)
def test_a_job_is_seen_by_its_name_its_group_or_its_owner(caller: Caller, sees: bool) -> None:
    assert caller.sees("job-1", "user-1", "g") is sees


def test_a_job_without_owner_and_group_is_nobodys() -> None:
    """An absent claim is not equal to an absent owner."""
    for caller in (NOBODY, ONE_USER, ONE_GROUP, Caller(sub=None)):
        assert not caller.sees("job-1", None, None)


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("caller", [NOBODY, ONE_JOB, ONE_GROUP, ONE_USER])
def test_a_token_may_only_look(caller: Caller, action: Action) -> None:
    """It is in the hands of a browser."""
    with pytest.raises(Forbidden, match="API key"):
        caller.check(action)
    EVERYBODY.check(action)


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("caller", [NOBODY, ONE_JOB, ONE_GROUP, ONE_USER])
def test_an_owner_may_do_some_things_to_its_own_jobs_and_to_no_other(caller: Caller, action: Action) -> None:
    """A token that sees the job otherwise may not, and a job without an owner is nobody's."""
    for owner in ("user-1", "user-2", None):
        if (owner, action) in {(caller.sub, own) for own in OWN} and owner is not None:
            caller.check_own(action, owner)
        else:
            with pytest.raises(Forbidden, match="API key"):
                caller.check_own(action, owner)
        EVERYBODY.check_own(action, owner)


def test_a_caller_is_called_by_its_owner_whatever_its_token_shows() -> None:
    shown = Caller(sub="user-1", jobs=frozenset({"job-1"}), name="token:1")
    assert {caller.who for caller in (ONE_USER, shown)} == {"owner:user-1"}
    assert Caller(jobs=frozenset({"job-1"}), name="token:2").who == "token:2"
    assert Caller(full=True, name="key:1").who == "key:1"


def test_a_renewed_token_takes_the_place_of_the_old_one() -> None:
    """The same rights, or more, for longer."""
    later = Caller(jobs=frozenset({"job-1", "job-2"}), expires_at=900)
    assert ONE_JOB.renewed(later) == later
    assert NOBODY.renewed(ONE_JOB) == ONE_JOB
    assert ONE_JOB.renewed(EVERYBODY) == EVERYBODY


def test_tokens_for_different_things_add_up_until_the_first_expires() -> None:
    """A page may have one token for each job."""
    both = ONE_JOB.renewed(ONE_GROUP).renewed(ONE_USER)
    assert both == Caller(jobs=frozenset({"job-1"}), groups=frozenset({"g"}), sub="user-1", expires_at=100)


def test_another_persons_token_ends_the_first_ones_rights() -> None:
    """Somebody else has logged in on the same page."""
    other = Caller(sub="user-2", expires_at=900)
    assert ONE_USER.renewed(other) == other


def test_rights_do_not_pile_up_without_end() -> None:
    """Past the bound the newest token counts alone."""
    many = Caller(jobs=frozenset(map(str, range(MAX_GATHERED))), expires_at=100)
    assert many.renewed(ONE_JOB) == ONE_JOB
