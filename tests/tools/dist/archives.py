"""Looks into every file of a release: archives.py FOLDER EPOCH PATH…

No file in it may hold one of the PATHs of the machine that built it, be it packed or not; and each must have the time that
SOURCE_DATE_EPOCH says. Says how many files it has seen.
"""

from __future__ import annotations

import calendar
import gzip
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

Member = tuple[str, float, bytes]


def tar(content: bytes) -> Iterator[Member]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            yield member.name, member.mtime, file.read() if file else b""


def output(*command: str) -> bytes:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def cpio(content: bytes) -> Iterator[Member]:
    """The `newc` form: a header of 110 digits, the name, the content, each up to a multiple of four."""
    at = 0
    while True:
        fields = [int(content[at + 6 + 8 * number : at + 14 + 8 * number], 16) for number in range(13)]
        size, length, moment = fields[6], fields[11], fields[5]
        start = (at + 110 + length + 3) & ~3
        name = content[at + 110 : at + 109 + length].decode()
        if name == "TRAILER!!!":
            return
        yield name, moment, content[start : start + size]
        at = (start + size + 3) & ~3


def members(file: Path) -> Iterator[Member]:
    """What is packed in a file."""
    if file.suffix in {".zip", ".whl", ".nupkg", ".snupkg"}:
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                # It knows no zone, and even seconds alone.
                moment = calendar.timegm((*info.date_time, 0, 0, 0))
                yield info.filename, moment, archive.read(info)
    elif file.name.endswith(".tar.gz"):
        yield from tar(file.read_bytes())
    elif file.suffix == ".deb":
        yield from tar(output("dpkg-deb", "--fsys-tarfile", str(file)))
        yield from tar(output("dpkg-deb", "--ctrl-tarfile", str(file)))
    elif file.suffix == ".rpm":
        yield from cpio(output("rpm2cpio", str(file)))


def main() -> int:
    folder, epoch, paths = Path(sys.argv[1]), int(sys.argv[2]), [path.encode() for path in sys.argv[3:]]
    seen = wrong = 0
    for file in sorted(folder.iterdir()):
        packed = list(members(file))
        # The file itself as well: what is stored in it, and what is packed in no archive.
        for name, moment, content in [*packed, ("itself", epoch, file.read_bytes())]:
            seen += 1
            text = gzip.decompress(content) if name.endswith(".gz") else content
            found = [path.decode() for path in paths if path in text]
            if found:
                print(f"{file.name}: {name} holds {', '.join(found)}")
            late = abs(moment - epoch) > 1
            if late:
                print(f"{file.name}: {name} is of {int(moment)}, not {epoch}")
            wrong += bool(found) or late
    print(f"{seen} files, {wrong} wrong")
    return 1 if wrong or seen < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
