"""BONe's knowledge: everything that the doors (Avizo modules, window, command line) and the worker share.

Importing this package imports nothing else, so that the worker can count statistics with numpy alone.
"""

__version__ = "3.0.0"
