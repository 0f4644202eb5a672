"""What runs in the background of a node: its durable work, and the tasks that keep its jobs and itself in order."""

from collections.abc import Coroutine
from datetime import timedelta

from hookcast.consequences import Kind
from hookcast.forward.sending import SendTo
from hookcast.routes.services import Services
from hookcast.upkeep.collector import MAX_AT_ONCE, MAX_SECONDS, Collector
from hookcast.upkeep.follower import Follower
from hookcast.upkeep.keeper import Keeper
from hookcast.upkeep.leases import LeaseKeeper
from hookcast.upkeep.reconciler import Reconciler
from hookcast.upkeep.relay import Relay
from hookcast.upkeep.resync import Resync
from hookcast.upkeep.reteller import Reteller
from hookcast.upkeep.retention import Retention
from hookcast.upkeep.sweeper import Sweeper
from hookcast.upkeep.teller import Teller, Voice
from hookcast.upkeep.unkept import Unkept
from hookcast.upkeep.untold import Untold
from hookcast.upkeep.worker import Handler, Worker


def forwarding(node: Services, send_to: SendTo) -> dict[str, Handler]:
    """Return the handlers of webhooks out, and those that drop them where no setting names a receiver."""
    settings, handlers = node.settings, dict[str, Handler]()
    untold = Untold(node.scribe.notebook)
    if settings.forward_url is not None:
        told = settings.told_events
        voice = Voice(node.engine.show, send_to(settings.forward_url.get_secret_value()), settings.forward_keys)
        teller = Teller(node.store, voice, told, clock=node.clock, notebook=node.scribe.notebook, tally=node.metrics)
        handlers |= teller.handlers()
        handlers |= Reteller(node.store, told, node.dispatcher.work_waits).handlers()
    else:
        handlers |= untold.events()
    if settings.forward_fal is not None:
        sender = send_to(settings.forward_fal.get_secret_value())
        handlers |= Relay(node.store, sender, node.metrics).handlers()
    else:
        handlers |= untold.webhooks()
    return handlers


def _worker(node: Services, name: str, send_to: SendTo) -> Worker:
    """Return the worker with the handler of each kind of work that this node can do."""
    handlers = forwarding(node, send_to)
    if node.asking is not None:
        collector = Collector(node.store, node.dispatcher, node.asking, clock=node.clock)
        handlers[Kind.FETCH] = Handler(collector.fetch, MAX_AT_ONCE, MAX_SECONDS)
    if node.media is not None:
        keeper = Keeper(node.store, node.dispatcher, node.media, node.clock, node.metrics)
        handlers |= keeper.handlers()
    else:
        handlers |= Unkept(node.store, node.dispatcher).handlers()
    worker = Worker(node.store.work, handlers, name, node.dispatcher.crowd.crowded)
    node.dispatcher.listen(worker.wake)
    return worker


def background(node: Services, name: str, send_to: SendTo) -> list[Coroutine[None, None, None]]:
    """Return the background tasks; `name` identifies this node in leases, `send_to` makes what sends webhooks out."""
    settings, store, fal = node.settings, node.store, node.asking
    timeout = timedelta(seconds=settings.job_timeout_seconds)
    reconciler = Reconciler(
        store=store,
        dispatcher=node.dispatcher,
        fal=fal,
        clock=node.clock,
        node=name,
        timeout=timeout,
    )
    resync = Resync(store, node.engine.hub, node.engine.subscriptions, seconds=settings.resync_seconds)
    retention = Retention(store, node.clock, timedelta(days=settings.job_retention_days))
    found = [_worker(node, name, send_to).run(), resync.run(), reconciler.run(), retention.run()]
    found += [node.readiness.run(), node.submitter.outcomes.run(), node.scribe.run()]
    if node.media is not None:
        found += [Sweeper(node.media, node.clock).run(), node.media.links.run()]
    if settings.metrics_folder is not None:
        found.append(node.metrics.run(node.engine, node.dispatcher, node.bus, node.media and node.media.turns))
    if fal is not None:
        keeper = LeaseKeeper(store.leases, name)
        follower = Follower(store=store, dispatcher=node.dispatcher, engine=node.engine, fal=fal, keeper=keeper)
        found += [keeper.run(), follower.run()]
    return found
