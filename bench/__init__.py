"""Benchmarks: Hookcast and its peers, measured side by side. See `README.md` here for how to run and read them."""
