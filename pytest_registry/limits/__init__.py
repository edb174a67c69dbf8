"""How many pulls and pushes may run at once, over all workers and runs of a machine."""
