"""Scans and masks as volumes (z, y, x): opened, saved, and read as slabs or patches."""
