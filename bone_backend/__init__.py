"""BONe's knowledge: everything that the doors (Avizo modules, window, command line) and the worker share.

Importing this package imports nothing else, so that the worker can count statistics with numpy alone.
"""

import os

__version__ = "3.0.0"

# Threads that wait for each other sleep, instead of spinning: where other programs want the cores too, a step
# of a small network on two threads takes a fifth of the time (benchmarks/waiting.py). It must be said before
# torch is loaded; what the user has said stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
