"""Campaigns: kills, full disks and damaged files, tried by the thousand for as long as a night lasts.

In:  --count, --minutes, --seed. Run as: python -m benchmarks.campaigns.NAME
Out: a table of what was tried and what was lost; exit status 1 if anything was. What failed is kept in a
folder (--failures), and can be made again alone with --seed and --first.
They fork children, limit them and kill them, so they need Linux.
"""
