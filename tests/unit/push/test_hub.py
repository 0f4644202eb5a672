"""Who gets which state."""

import pytest

from hookcast.push import Hub, Names
from hookcast.push.topics import Topics
from hookcast.store import Written
from support.push import Time, Watcher, state
from support.recorded import Recorded

JOB, GROUP = Names(jobs=("job-1",)), Names(groups=("g",))
OWNER, ALL = Names(owners=("user-1",)), Names(everything=True)


@pytest.fixture
def hub() -> Hub:
    """A hub whose interest is recorded."""
    made = Hub(Time())
    made.interest = Recorded()
    return made


def watched(hub: Hub) -> list[str]:
    """The jobs that somebody watches."""
    assert isinstance(hub.interest, Recorded)
    return sorted(hub.interest.jobs)


def test_only_news_is_pushed(hub: Hub) -> None:
    """Each version once, and none that is older than what was sent."""
    watcher = Watcher()
    hub.join(watcher, JOB)
    for version in (1, 3, 3, 2, 4):
        hub.deliver(state(version=version))
    assert watcher.got == [("job-1", 1), ("job-1", 3), ("job-1", 4)]


def test_the_end_of_a_job_is_told_once(hub: Hub) -> None:
    """A registration after the end is news, but no second end."""
    watcher = Watcher()
    hub.join(watcher, JOB)
    for version in (1, 2, 3):
        hub.deliver(state(version=version, ended=version > 1))
    assert (len(watcher.got), watcher.endings) == (3, 1)


def test_a_job_watched_by_name_and_by_group_is_pushed_once(hub: Hub) -> None:
    """To the one who watches both, and to those who watch one of them."""
    both, by_name, by_group = Watcher(), Watcher(), Watcher()
    hub.join(both, Names(jobs=("job-1",), groups=("g",)))
    hub.join(by_name, JOB)
    hub.join(by_group, GROUP)
    hub.deliver(state(version=1, group="g"))
    hub.deliver(state(version=2, group="g", ended=True))
    assert [watcher.got for watcher in (both, by_name, by_group)] == [[("job-1", 1), ("job-1", 2)]] * 3
    assert [watcher.endings for watcher in (both, by_name, by_group)] == [1, 1, 0]


def test_a_subscriber_of_several_topics_gets_a_state_once(hub: Hub) -> None:
    """By name, group and owner, and through everything."""
    several = (Names(("job-1",), ("g",), ("user-1",), everything=True), Names(groups=("g",), owners=("user-1",)))
    watchers = [Watcher() for _ in range(6)]
    for watcher, names in zip(watchers, (JOB, GROUP, OWNER, ALL, *several), strict=True):
        hub.join(watcher, names)
    hub.deliver(state(version=1, group="g", owner="user-1"))
    hub.deliver(state(version=2, group="g", owner="user-1", ended=True))
    assert [watcher.got for watcher in watchers] == [[("job-1", 1), ("job-1", 2)]] * 6
    assert hub.pushed == 12


def test_an_owner_gets_the_own_jobs_only_and_everything_is_all_jobs(hub: Hub) -> None:
    mine, everything = Watcher(), Watcher()
    hub.join(mine, OWNER)
    hub.join(everything, ALL)
    for name, owner in (("a", "user-1"), ("b", "user-2"), ("c", None)):
        hub.deliver(state(name, owner=owner))
    assert (mine.got, everything.got) == ([("a", 1)], [("a", 1), ("b", 1), ("c", 1)])


def test_who_joins_a_feed_later_brings_it_to_who_has_an_older_state_of_another(hub: Hub) -> None:
    """What the store says for the owner's watcher is news for the group's, once."""
    early, late = Watcher(), Watcher()
    hub.join(early, Names(groups=("g",), owners=("user-1",)))
    hub.deliver(state(version=1, group="g", owner="user-1"))
    hub.join(late, Names(everything=True))
    assert hub.deliver(state(version=2, group="g", owner="user-1"), skip=late)
    assert not hub.deliver(state(version=1, group="g", owner="user-1"), skip=late)
    assert (early.got, late.got) == ([("job-1", 1), ("job-1", 2)], [])


def test_everything_is_followed_by_nobody(hub: Hub) -> None:
    """A pending job counts as watched through its owner, as through its group, but not through the feed of all."""
    hub.join(Watcher(), ALL)
    hub.deliver(state("job-2"))
    assert watched(hub) == []
    owner = Watcher()
    topics = hub.join(owner, OWNER)
    hub.deliver(state(owner="user-1"))
    assert watched(hub) == ["job-1"]
    hub.leave(owner, topics)
    assert watched(hub) == []


@pytest.mark.parametrize("names", [OWNER, ALL])
def test_what_the_bus_did_not_deliver_to_a_feed_is_lacking(hub: Hub, names: Names) -> None:
    """If it was written since the feed was joined; what is older comes with the first states."""
    row = Written("job-1", 2, "user-1", None, changed_at=100.0)
    assert not hub.lacks(row)
    hub.join(Watcher(), names)
    hub.begin_feeds(100.0)
    assert not hub.lacks(row)
    assert hub.lacks(row._replace(changed_at=100.5))
    hub.begin_feeds(200.0)
    assert hub.lacks(row._replace(changed_at=100.5))
    hub.deliver(state(version=2, owner="user-1"))
    assert not hub.lacks(row._replace(changed_at=100.5))
    assert hub.lacks(row._replace(version=3))  # an older one came late


def test_a_late_state_from_before_the_job_had_an_owner_is_not_sent(hub: Hub) -> None:
    watcher = Watcher()
    hub.join(watcher, OWNER)
    hub.deliver(state(version=3, owner="user-1"))
    hub.join(watcher, JOB)
    assert not hub.deliver(state(version=2))
    hub.deliver(state(version=4, owner="user-1"))
    assert watcher.got == [("job-1", 3), ("job-1", 4)]


def test_a_group_learns_of_a_job_that_is_registered_later(hub: Hub) -> None:
    """From its registration on the group's watchers get it, also when it has ended already."""
    watcher = Watcher()
    hub.join(watcher, GROUP)
    hub.deliver(state(version=1, ended=True))
    hub.deliver(state(version=2, ended=True, group="g"))
    assert watcher.got == [("job-1", 2)]
    assert watched(hub) == []


def test_who_joins_brings_the_others_up_to_date(hub: Hub) -> None:
    """What the store says goes to those who had less, and is refused when a newer one was pushed."""
    early, late = Watcher(), Watcher()
    hub.join(early, JOB)
    hub.join(late, JOB)
    assert hub.deliver(state(version=2), skip=late)
    assert hub.deliver(state(version=2), skip=late)
    hub.deliver(state(version=3))
    assert not hub.deliver(state(version=2), skip=early)
    assert (early.got, late.got) == ([("job-1", 2), ("job-1", 3)], [("job-1", 3)])


def test_the_interest_hears_of_the_first_watcher_and_of_the_last(hub: Hub) -> None:
    """By name or by group, however many and in whichever order."""
    one, two, group = Watcher(), Watcher(), Watcher()
    topics = {watcher: hub.join(watcher, names) for watcher, names in ((one, JOB), (two, JOB), (group, GROUP))}
    assert watched(hub) == ["job-1"]
    hub.join(one, JOB)
    hub.deliver(state(version=1, group="g"))
    hub.deliver(state("job-2", group="g"))
    assert watched(hub) == ["job-1", "job-2"]
    for watcher in (one, two, one):
        hub.leave(watcher, topics[watcher])
    assert watched(hub) == ["job-1", "job-2"]
    hub.deliver(state("job-2", 2, ended=True, group="g"))
    assert watched(hub) == ["job-1"]
    assert hub.leave(group, topics[group]).channels == ["group:g"]
    assert (watched(hub), list(hub)) == ([], [])


def test_a_subscriber_that_stands_for_no_client_is_no_watcher(hub: Hub) -> None:
    """The server's own watches do not keep a job watched."""
    own = Watcher()
    own.active = False
    hub.join(own, JOB)
    assert watched(hub) == []
    hub.deliver(state())
    assert own.got == [("job-1", 1)]


def test_a_topic_that_was_left_by_all_and_joined_again_is_another_one(hub: Hub) -> None:
    """Leaving the old one a second time takes nothing from the new one."""
    one, two = Watcher(), Watcher()
    old = hub.join(one, JOB)
    hub.leave(one, old)
    hub.join(two, JOB)
    assert hub.leave(one, old) == Topics()
    hub.deliver(state())
    assert two.got == [("job-1", 1)]


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("names", [GROUP, OWNER, ALL])
def test_a_feed_forgets_jobs_that_changed_long_ago(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, names: Names, *, ended: bool
) -> None:
    """Its memory does not grow with the number of its jobs, whether these have ended or not."""
    monkeypatch.setattr("hookcast.push.hub.KEPT_VERSIONS", 10)
    monkeypatch.setattr("hookcast.push.hub.FORGOTTEN_AT_ONCE", 1)
    watcher = Watcher()
    topics = hub.join(watcher, names)
    for number in range(100):
        hub.deliver(state(f"job-{number}", ended=ended, group="g", owner="user-1"))
    [feed] = topics.feeds
    assert list(feed.versions) == [f"job-{number}" for number in range(90, 100)]
    assert sorted(feed.pending) == watched(hub) == ([] if ended or names is ALL else sorted(feed.versions))
    hub.leave(watcher, topics)
    assert (watched(hub), hub._by_feed, hub._grouped, hub._owned) == ([], {}, {}, {})


def test_topics_know_their_kind(hub: Hub) -> None:
    """A job and a group of the same name are two topics."""
    joined = hub.join(Watcher(), Names(jobs=("x",), groups=("x",)))
    assert joined.channels == ["job:x", "group:x"]


def test_what_is_old_for_the_group_is_not_news_for_who_watches_the_job_by_name(hub: Hub) -> None:
    """A slow reader of the group brings a state that a watcher of both has got a newer one of."""
    both, slow = Watcher(), Watcher()
    hub.join(both, GROUP)
    hub.join(slow, GROUP)
    hub.deliver(state(version=2, group="g"))
    hub.join(both, JOB)
    assert not hub.deliver(state(version=1, group="g"), skip=slow)
    assert both.got == [("job-1", 2)]


def test_a_late_state_from_before_the_job_had_a_group_is_not_sent(hub: Hub) -> None:
    """Its watchers by group have a newer one, and one of them now names the job."""
    watcher = Watcher()
    hub.join(watcher, GROUP)
    hub.deliver(state(version=3, group="g"))
    hub.join(watcher, JOB)
    assert not hub.deliver(state(version=2))
    hub.deliver(state(version=4, group="g"))
    assert watcher.got == [("job-1", 3), ("job-1", 4)]
