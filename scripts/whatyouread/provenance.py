"""What a result was made with: versions, settings, seed and the digests of what went in."""

import platform
from importlib import metadata
from pathlib import Path

from whatyouread.files import sha256, write_json

PACKAGES = (
    "accelerate", "biopython", "ete3", "huggingface_hub", "numpy", "pandas", "pyarrow", "requests",
    "safetensors", "scikit-learn", "torch", "transformers",
)  # fmt: skip


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that are installed among `PACKAGES`."""
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
    """Write the record of one step as JSON, with the digests of the files that went in and came out.

    computed_on: the kind of processor. No times and no host: the same run gives the same file.
    """
    record = {
        "settings": settings,
        "seed": seed,
        "computed_on": computed_on,
        "versions": versions(),
        "sha256": {str(file): sha256(file) for file in files},
    }
    write_json(path, record)
