"""The phantom scans of the demo, which must run on a machine without any scan.

In:  nothing.
Out: Phantom and write of mocks/scans.py, a folder called bone_mocks where BONe is installed (see setup.py).
The one place where a door uses the stand-ins.
"""

if __package__ == "standalone":
    from mocks.scans import Phantom, write
else:
    from bone_mocks.scans import Phantom, write

__all__ = ["Phantom", "write"]
