"""Hookcast: fal.ai webhooks in, live job events out."""

__version__ = "0.1.0"
