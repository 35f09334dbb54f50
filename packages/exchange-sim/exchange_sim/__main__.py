"""`python -m exchange_sim`."""

from exchange_sim.cli import main

main()
