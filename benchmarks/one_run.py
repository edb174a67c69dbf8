"""Print the processor time in ms of a pytest run, its imports of pytest left out, for plugin.py.

This file imports nothing else, for what is imported here, the plugin would not pay for.
"""

import os
import sys
import time

import pytest

out = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
begun = time.process_time()
status = pytest.main(sys.argv[1:])
os.write(out, f"{(time.process_time() - begun) * 1000}".encode())
sys.exit(status)
