#!/usr/bin/env python3
"""Puts rows of a Markdown table, from the standard input, into a page: record.py PAGE [COLUMNS] [--all].

A row replaces the one that begins with the same cells (one, or as many as COLUMNS says); a new one goes behind the others
that share its first cell, or to the end. With --all these are all rows of their first cells: others go. Each gets a last
cell: the commit that it was measured on.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def commit() -> str:
    """The commit of the working tree, with a plus if more was changed than pages like this one."""

    def git(*arguments: str) -> str:
        run = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
        return run.stdout.strip()

    changed = git("status", "--porcelain", "--", ".", ":!tests/RESULTS.md", ":!benches/RESULTS.md")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def cells(row: str) -> list[str]:
    """What stands between the bars; one in a cell is written with a backslash."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip())[1:-1]]


def merged(page: list[str], rows: list[str], columns: int) -> list[str]:
    """The page's lines with these rows in its table."""
    for row in rows:
        key = cells(row)[:columns]
        table = [number for number, line in enumerate(page) if line.startswith("| ") and "---" not in line]
        same = [number for number in table if cells(page[number])[:columns] == key]
        near = [number for number in table if cells(page[number])[0] == key[0]]
        if same:
            page[same[0]] = row
        else:
            last = (near or [number for number, line in enumerate(page) if line.startswith("|")])[-1]
            page.insert(last + 1, row)
    return page


def without_others(page: list[str], rows: list[str], columns: int) -> list[str]:
    """The page's lines without rows that share a first cell with these and are none of them."""
    keys = [cells(row)[:columns] for row in rows]
    kinds = {key[0] for key in keys if key[0]}
    return [
        line for line in page if not line.startswith("| ") or cells(line)[0] not in kinds or cells(line)[:columns] in keys
    ]


def main() -> None:
    page = Path(sys.argv[1])
    columns = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    last = commit()
    rows = [f"| {' | '.join([*cells(line), last])} |" for line in sys.stdin if line.startswith("| ")]
    lines = page.read_text(encoding="utf-8").splitlines()
    if "--all" in sys.argv:
        lines = without_others(lines, rows, columns)
    lines = merged(lines, rows, columns)
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
