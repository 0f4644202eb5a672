"""Copies of the files that results name, in the user's own storage.

Synchronous: a copy is the plain loop of one thread, and the event loop only awaits it (`turns`). The modules `files`,
`types` and `addresses` are pure.
"""
