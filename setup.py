"""Which folders are installed, and under which names; all else stands in pyproject.toml.

Beside bone_backend, the folders of the checkout have names that any other package could have too, so they are
installed as bone_NAME. Their own imports of each other are relative, and hold under both names.
"""

from setuptools import find_packages, setup

OTHER_NAMES = {f"bone_{folder}": folder for folder in ("standalone", "external_worker", "mocks")}

INSIDE = ("bone_standalone.window",)

setup(
    packages=[*find_packages(include=["bone_backend*"]), *OTHER_NAMES, *INSIDE],
    package_dir={"bone_backend": "bone_backend", **OTHER_NAMES},
)
