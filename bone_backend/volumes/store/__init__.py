"""Unpacked volumes in the cache: who uses them, and how much room they may take."""
