"""Hookcast: fal.ai webhooks in, live job events out."""

from importlib.metadata import version

__version__ = version("hookcast")
