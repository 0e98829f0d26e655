"""Writes the NuGet packages LibP21Auth and LibP21Auth.Newtonsoft and their symbols from built files, where no .NET SDK is at hand.

    nupkg.py --out FOLDER --assemblies FOLDER --licenses FOLDER --native RID=FILE …

The layout is the one that ``dotnet pack`` makes; what the packages say of themselves is read from Directory.Build.props and the
project files. P21AUTH_REPOSITORY_URL says where the sources are. LibP21Auth.Newtonsoft is for .NET 8 alone: the other targets need
a Newtonsoft.Json 13 for them, and so an SDK.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from xml.sax.saxutils import escape

import archive

ROOT = Path(__file__).resolve().parents[2]
CSHARP = ROOT / "bindings" / "csharp"
#: Folder in the package to the name of the framework in its description.
FRAMEWORKS = {"net462": ".NETFramework4.6.2", "netstandard2.0": ".NETStandard2.0", "net8.0": "net8.0"}
#: What is built of each package here.
BUILT = {"LibP21Auth": list(FRAMEWORKS), "LibP21Auth.Newtonsoft": ["net8.0"]}


def project(package: str) -> Path:
    """The package's project file."""
    return CSHARP / "src" / package / f"{package}.csproj"


def properties(package: str) -> dict[str, str]:
    """What the project says of itself."""
    found = {"Id": package}
    for file in (CSHARP / "Directory.Build.props", project(package)):
        for element in ElementTree.parse(file).iterfind("PropertyGroup/*"):
            found[element.tag] = (element.text or "").strip()
    return found


def dependencies(package: str, version: str) -> str:
    """What each framework's assembly needs of other packages."""
    tree = ElementTree.parse(project(package))
    needed = [(Path(item.attrib["Include"]).stem, version) for item in tree.iterfind("ItemGroup/ProjectReference")]
    needed += [(item.attrib["Include"], item.attrib["Version"]) for item in tree.iterfind("ItemGroup/PackageReference")]
    lines = "".join(f'\n        <dependency id="{name}" version="{least}" exclude="Build,Analyzers" />' for name, least in needed)
    inside = f">{lines}\n      </group>" if lines else " />"
    return "".join(f'\n      <group targetFramework="{FRAMEWORKS[name]}"{inside}' for name in BUILT[package])


def framework_assemblies(package: str) -> str:
    """What .NET Framework has and the package needs of it."""
    if "net462" not in BUILT[package]:
        return ""
    group = ElementTree.parse(project(package)).iterfind("ItemGroup[@Condition]/Reference")
    lines = "".join(
        f'\n      <frameworkAssembly assemblyName="{item.attrib["Include"]}" targetFramework="{FRAMEWORKS["net462"]}" />'
        for item in group
    )
    return f"\n    <frameworkAssemblies>{lines}\n    </frameworkAssemblies>"


def nuspec(known: dict[str, str], symbols: bool) -> str:
    """The package's description."""
    url = os.environ.get("P21AUTH_REPOSITORY_URL")
    repository = f'\n    <repository type="git" url="{escape(url)}" />' if url else ""
    if symbols:
        rest = '\n    <packageTypes>\n      <packageType name="SymbolsPackage" />\n    </packageTypes>'
    else:
        rest = f"""
    <license type="expression">{escape(known["PackageLicenseExpression"])}</license>
    <licenseUrl>https://licenses.nuget.org/{known["PackageLicenseExpression"].replace(" ", "%20")}</licenseUrl>
    <icon>{known["PackageIcon"]}</icon>
    <readme>{known["PackageReadmeFile"]}</readme>
    <tags>{escape(known["PackageTags"])}</tags>"""
    return f"""<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd">
  <metadata>
    <id>{known["Id"]}</id>
    <version>{known["Version"]}</version>
    <authors>{escape(known["Authors"])}</authors>{rest}
    <description>{escape(known["Description"])}</description>{repository}
    <dependencies>{dependencies(known["Id"], known["Version"])}
    </dependencies>{framework_assemblies(known["Id"])}
  </metadata>
</package>
"""


def core_properties(known: dict[str, str]) -> str:
    """The same once more, as packages of this kind have it."""
    return f"""<?xml version="1.0" encoding="utf-8"?>
<coreProperties xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns="http://schemas.openxmlformats.org/package/2006/metadata/core-properties">
  <dc:creator>{escape(known["Authors"])}</dc:creator>
  <dc:description>{escape(known["Description"])}</dc:description>
  <dc:identifier>{known["Id"]}</dc:identifier>
  <version>{known["Version"]}</version>
  <keywords>{escape(known["PackageTags"])}</keywords>
</coreProperties>
"""


def relationships(package: str, core: str) -> str:
    """Which part of the package is its description."""
    kinds = (
        ("http://schemas.microsoft.com/packaging/2010/07/manifest", f"/{package}.nuspec"),
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


def content(package: str, options: argparse.Namespace) -> dict[str, Path]:
    """Every file of the package by its place in it, apart from what makes a folder of files a package."""
    files = {"README.md": CSHARP / "README.md", "icon.png": CSHARP / "icon.png"}
    for framework in BUILT[package]:
        for name in (f"{package}.dll", f"{package}.xml"):
            files[f"lib/{framework}/{name}"] = options.assemblies / framework / name
    if package != "LibP21Auth":
        return files | {f"licenses/{name}": ROOT / name for name in ("LICENSE-MIT", "LICENSE-APACHE")}
    for rid, file in options.native:
        files[f"runtimes/{rid}/native/{file.name}"] = file
    for place in ("build", "buildTransitive"):
        files[f"{place}/net462/LibP21Auth.targets"] = project(package).parent / "build" / "LibP21Auth.targets"
    for file in sorted(path for path in options.licenses.iterdir() if path.is_file()):
        files[f"licenses/{file.name}"] = file
    return files


def symbols(package: str, options: argparse.Namespace) -> dict[str, Path]:
    """What debuggers need, in a package of its own."""
    return {f"lib/{name}/{package}.pdb": options.assemblies / name / f"{package}.pdb" for name in BUILT[package]}


def write(known: dict[str, str], files: dict[str, Path], out: Path, is_symbols: bool) -> None:
    """Makes a package of these files."""
    parts = {name: file.read_bytes() for name, file in files.items()}
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(name.encode() + b"\0" + parts[name])
    core = f"package/services/metadata/core-properties/{digest.hexdigest()[:32]}.psmdcp"
    parts[f"{known['Id']}.nuspec"] = nuspec(known, is_symbols).encode()
    parts[core] = core_properties(known).encode()
    parts["[Content_Types].xml"] = content_types(list(parts)).encode()
    parts["_rels/.rels"] = relationships(known["Id"], core).encode()
    ending = "snupkg" if is_symbols else "nupkg"
    archive.pack(out / f"{known['Id']}.{known['Version']}.{ending}", parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for folder in ("out", "assemblies", "licenses"):
        parser.add_argument(f"--{folder}", type=Path, required=True)
    parser.add_argument("--native", type=by_rid, action="append", default=[])
    options = parser.parse_args()
    for package in BUILT:
        known = properties(package)
        write(known, content(package, options), options.out, is_symbols=False)
        write(known, symbols(package, options), options.out, is_symbols=True)


if __name__ == "__main__":
    main()
