"""Carries states from the dispatcher to the hubs that have watchers: fast, never the truth."""

from hookcast.bus.base import Bus, Deliver, group_topic, job_topic
from hookcast.bus.local import LocalBus

__all__ = ["Bus", "Deliver", "LocalBus", "group_topic", "job_topic"]
