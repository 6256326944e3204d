"""Packaging of bandersnatch; settings of the development tools are in pyproject.toml and tox.ini."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "bandersnatch/__init__.py").read_text(), re.MULTILINE)
assert VERSION is not None, "bandersnatch/__init__.py has no __version__"

setup(
    name="bandersnatch",
    version=VERSION[1],
    description="A mirror client for the Python Package Index",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="AFL-3.0",
    license_files=["LICENSE"],
    url="https://github.com/pypa/bandersnatch",
    packages=find_packages(include=["bandersnatch", "bandersnatch.*"]),
    package_data={"bandersnatch": ["bandersnatch.conf.example", "py.typed"]},
    python_requires=">=3.11",
    install_requires=(HERE / "requirements.txt").read_text().split(),
    extras_require={"socks": ["PySocks>=1.7"], "completion": ["shtab>=1.7"]},
    entry_points={"console_scripts": ["bandersnatch = bandersnatch.__main__:console"]},
    classifiers=[
        "Environment :: Console",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: System :: Archiving :: Mirroring",
    ],
)
