"""Webhooks out: the events of jobs for the user's backend (Standard Webhooks 1.0), and fal's own webhooks passed on."""
