"""Check that a wheel holds every file of the packages that the checkout holds."""

import sys
import zipfile
from pathlib import Path

ENDINGS = {".py", ".cu", ".cuh", ".h", ".typed"}


def main(wheel: str) -> None:
    """Compare the wheel's names with the files of both source folders."""
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        prefix + path.as_posix()
        for folder, prefix in (("arraycon", ""), ("kernels", "arraycon/"))
        for path in Path(folder).rglob("*")
        if path.suffix in ENDINGS
    }
    missing = sorted(expected - names)
    if missing:
        sys.exit(f"{wheel} lacks {', '.join(missing)}")
    print(f"{len(expected)} files of the packages are in the wheel")


if __name__ == "__main__":
    main(sys.argv[1])
