"""Writes each C# block of Markdown pages into a file of its own, ready to be compiled: FOLDER-PAGE-NUMBER.cs.

Usage: readme_examples.py FOLDER PAGE.md...
The first page must have a block; pages without one are passed over.
"""

import pathlib
import re
import sys

USINGS = """using System; using System.Collections.Generic; using System.Linq; using System.Net.Http; using System.Threading;
using System.Threading.Tasks; using LibP21Auth;
#line 1 "{page}, C# block {number}"
"""

folder, pages = pathlib.Path(sys.argv[1]), [pathlib.Path(name) for name in sys.argv[2:]]
for page in pages:
    blocks = re.findall(r"^```csharp\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    if page == pages[0] and not blocks:
        sys.exit(f"{page} has no C# example")
    for number, block in enumerate(blocks, 1):
        own = "".join(line for line in re.findall(r"^using [\w.]+;\n", block, re.MULTILINE) if line.strip() not in USINGS)
        text = re.sub(r"^using [\w.]+;\n", "", block, flags=re.MULTILINE)
        (folder / f"{page.resolve().parent.name}-{page.stem}-{number}.cs").write_text(own + USINGS.format(page=page, number=number) + text)
