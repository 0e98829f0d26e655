"""Zip files that are the same whenever their content is: SOURCE_DATE_EPOCH is the time of every file in them.

    archive.py OUT FOLDER: packs FOLDER, by its own name
"""

from __future__ import annotations

import os
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path


def pack(out: Path, parts: Mapping[str, bytes], executable: str | None = None) -> None:
    """Writes these files by their names; those whose name begins with ``executable`` may be run."""
    # A zip file knows no time before 1980.
    moment = time.gmtime(max(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), 315532800))[:6]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(parts):
            entry = zipfile.ZipInfo(name, moment)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if executable and name.startswith(executable) else 0o644) << 16
            archive.writestr(entry, parts[name])
    print(out)


def main() -> None:
    out, folder = Path(sys.argv[1]), Path(sys.argv[2])
    files = {f"{folder.name}/{file.relative_to(folder).as_posix()}": file for file in folder.rglob("*") if file.is_file()}
    pack(out, {name: file.read_bytes() for name, file in files.items()}, executable=f"{folder.name}/bin/")


if __name__ == "__main__":
    main()
