"""Copies of results: their memory and throughput."""
