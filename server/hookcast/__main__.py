"""`python -m hookcast`."""

from hookcast.cli import main

main()
