"""Writes the NuGet package LibP21Auth from built files, where no .NET SDK is at hand.

    nupkg.py --out FOLDER --assemblies FOLDER --licenses FOLDER --native RID=FILE … --tool RID=FILE …

The layout is the one that ``dotnet pack`` makes; what the package says of itself is read from Directory.Build.props and the
project file.
"""

from __future__ import annotations

import argparse
import hashlib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from xml.sax.saxutils import escape

import archive

ROOT = Path(__file__).resolve().parents[2]
CSHARP = ROOT / "bindings" / "csharp"
PROJECT = CSHARP / "src" / "LibP21Auth"
#: Folder in the package to the name of the framework in its description.
FRAMEWORKS = {"net462": ".NETFramework4.6.2", "netstandard2.0": ".NETStandard2.0", "net8.0": "net8.0"}


def properties() -> dict[str, str]:
    """What the project says of itself."""
    found = {}
    for file in (CSHARP / "Directory.Build.props", PROJECT / "LibP21Auth.csproj"):
        for element in ElementTree.parse(file).iterfind("PropertyGroup/*"):
            found[element.tag] = (element.text or "").strip()
    return found


def framework_assemblies() -> list[str]:
    """What .NET Framework has and the package needs of it."""
    group = ElementTree.parse(PROJECT / "LibP21Auth.csproj").iterfind("ItemGroup[@Condition]/Reference")
    return [reference.attrib["Include"] for reference in group]


def nuspec(known: dict[str, str]) -> str:
    """The package's description."""
    groups = "".join(f'\n      <group targetFramework="{name}" />' for name in FRAMEWORKS.values())
    references = "".join(
        f'\n      <frameworkAssembly assemblyName="{name}" targetFramework="{FRAMEWORKS["net462"]}" />'
        for name in framework_assemblies()
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd">
  <metadata>
    <id>LibP21Auth</id>
    <version>{known["Version"]}</version>
    <authors>{escape(known["Authors"])}</authors>
    <license type="expression">{escape(known["PackageLicenseExpression"])}</license>
    <licenseUrl>https://licenses.nuget.org/{known["PackageLicenseExpression"].replace(" ", "%20")}</licenseUrl>
    <readme>{known["PackageReadmeFile"]}</readme>
    <description>{escape(known["Description"])}</description>
    <tags>{escape(known["PackageTags"])}</tags>
    <dependencies>{groups}
    </dependencies>
    <frameworkAssemblies>{references}
    </frameworkAssemblies>
  </metadata>
</package>
"""


def core_properties(known: dict[str, str]) -> str:
    """The same once more, as packages of this kind have it."""
    return f"""<?xml version="1.0" encoding="utf-8"?>
<coreProperties xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns="http://schemas.openxmlformats.org/package/2006/metadata/core-properties">
  <dc:creator>{escape(known["Authors"])}</dc:creator>
  <dc:description>{escape(known["Description"])}</dc:description>
  <dc:identifier>LibP21Auth</dc:identifier>
  <version>{known["Version"]}</version>
  <keywords>{escape(known["PackageTags"])}</keywords>
</coreProperties>
"""


def relationships(core: str) -> str:
    """Which part of the package is its description."""
    kinds = (
        ("http://schemas.microsoft.com/packaging/2010/07/manifest", "/LibP21Auth.nuspec"),
        ("http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties", "/" + core),
    )
    lines = "".join(
        f'\n  <Relationship Type="{kind}" Target="{target}" Id="R{number}" />' for number, (kind, target) in enumerate(kinds)
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{lines}
</Relationships>
"""


def content_types(names: list[str]) -> str:
    """The kind of every part: by its ending, or by its name where it has none."""
    special = {
        "rels": "application/vnd.openxmlformats-package.relationships+xml",
        "psmdcp": "application/vnd.openxmlformats-package.core-properties+xml",
    }
    lines = []
    for ending in sorted({Path(name).suffix[1:].lower() for name in names if Path(name).suffix} | {"rels", "psmdcp"}):
        lines.append(f'\n  <Default Extension="{ending}" ContentType="{special.get(ending, "application/octet")}" />')
    for name in sorted(name for name in names if not Path(name).suffix):
        lines.append(f'\n  <Override PartName="/{name}" ContentType="application/octet" />')
    return f"""<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">{"".join(lines)}
</Types>
"""


def by_rid(argument: str) -> tuple[str, Path]:
    """``linux-x64=FILE``."""
    rid, _, file = argument.partition("=")
    return rid, Path(file)


def content(options: argparse.Namespace) -> dict[str, bytes]:
    """Every file of the package by its place in it, apart from what makes a folder of files a package."""
    files = {"README.md": CSHARP / "README.md"}
    for framework in FRAMEWORKS:
        for name in ("LibP21Auth.dll", "LibP21Auth.xml"):
            files[f"lib/{framework}/{name}"] = options.assemblies / framework / name
    for rid, file in options.native:
        files[f"runtimes/{rid}/native/{file.name}"] = file
    for rid, file in options.tool:
        files[f"tools/{rid}/{file.name}"] = file
    for place in ("build", "buildTransitive"):
        files[f"{place}/net462/LibP21Auth.targets"] = PROJECT / "build" / "LibP21Auth.targets"
    for file in sorted(path for path in options.licenses.iterdir() if path.is_file()):
        files[f"licenses/{file.name}"] = file
    return {name: file.read_bytes() for name, file in files.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for folder in ("out", "assemblies", "licenses"):
        parser.add_argument(f"--{folder}", type=Path, required=True)
    for binary in ("native", "tool"):
        parser.add_argument(f"--{binary}", type=by_rid, action="append", default=[])
    options = parser.parse_args()

    known = properties()
    parts = content(options)
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(name.encode() + b"\0" + parts[name])
    core = f"package/services/metadata/core-properties/{digest.hexdigest()[:32]}.psmdcp"
    parts["LibP21Auth.nuspec"] = nuspec(known).encode()
    parts[core] = core_properties(known).encode()
    parts["[Content_Types].xml"] = content_types(list(parts)).encode()
    parts["_rels/.rels"] = relationships(core).encode()

    archive.pack(options.out / f"LibP21Auth.{known['Version']}.nupkg", parts, executable="tools/")


if __name__ == "__main__":
    main()
