"""Benchmarks: Hookcast and its peers, measured side by side. `README.md` here says how to run and read them."""
