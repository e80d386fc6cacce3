"""Record how a result was made: versions, settings, seed and digests of the inputs."""

import platform
from importlib import metadata
from pathlib import Path

from whatyouread.support.files import sha256, write_json

PACKAGES = (
    "biopython", "ete3", "huggingface_hub", "numpy", "pandas", "pyarrow", "requests",
    "safetensors", "scikit-learn", "torch", "transformers",
)  # fmt: skip


def versions() -> dict[str, str]:
    """The versions of Python and of the installed packages in `PACKAGES`."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_record(
    path: Path, settings: dict, seed: int, files: list[Path], computed_on: str
) -> None:
    """Write the record of one step as JSON, with the digests of its input and output files.

    computed_on: the kind of processor. The record has no times and no host name, so equal steps give
    equal files.
    """
    record = {
        "settings": settings,
        "seed": seed,
        "computed_on": computed_on,
        "versions": versions(),
        "sha256": {str(file): sha256(file) for file in files},
    }
    write_json(path, record)
