"""How many pulls and pushes may run at once, over all workers and runs, of one machine or several.

policy.py says which limit applies, slots.py what a mechanism must offer; ring.py (files, fair),
polled.py (files, anywhere), lane.py (one process) and distributed.py (Redis, several machines) are
mechanisms; waiting.py is how one waits, and operations.py what users hold.
"""
