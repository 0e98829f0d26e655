"""Writes each C# block of a Markdown page into a file of its own, ready to be compiled.

Usage: readme_examples.py PAGE.md FOLDER
"""

import pathlib
import re
import sys

USINGS = """using System; using System.Collections.Generic; using System.Linq; using System.Net.Http; using System.Threading;
using System.Threading.Tasks; using LibP21Auth;
#line 1 "{page}, C# block {number}"
"""

page, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
blocks = re.findall(r"^```csharp\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
if not blocks:
    sys.exit(f"{page} has no C# example")
for number, block in enumerate(blocks, 1):
    own = "".join(line for line in re.findall(r"^using [\w.]+;\n", block, re.MULTILINE) if line.strip() not in USINGS)
    text = re.sub(r"^using [\w.]+;\n", "", block, flags=re.MULTILINE)
    (folder / f"block{number}.cs").write_text(own + USINGS.format(page=page.name, number=number) + text)
