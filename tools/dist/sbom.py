"""Lists the components of a file of the release, in CycloneDX's form, in FILE.cdx.json beside it.

    sbom.py FILE LIST…: the LISTs are those of the parts that are linked into it, by cargo-cyclonedx

A NuGet package also says itself what it needs of others.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

Component = dict[str, Any]


def without_place(text: str) -> str:
    """A list that does not tell where it was made."""
    return text.replace(Path.cwd().as_uri(), "file:///libp21auth")


def nuget(file: Path) -> list[Component]:
    """The packages that a NuGet package depends on."""
    with zipfile.ZipFile(file) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".nuspec"))
        tree = ElementTree.fromstring(archive.read(name))
    found = sorted({(entry.attrib["id"], entry.attrib["version"]) for entry in tree.iterfind(".//{*}dependency")})
    return [
        {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        for name, version in found
        for purl in [f"pkg:nuget/{name}@{version}"]
    ]


def main() -> None:
    file, lists = Path(sys.argv[1]), [json.loads(without_place(Path(name).read_text())) for name in sys.argv[2:]]
    components: dict[str, Component] = {}
    dependencies: dict[str, set[str]] = {}
    for part in lists:
        for component in [part["metadata"]["component"], *part["components"]]:
            components.setdefault(component["bom-ref"], component)
        for entry in part["dependencies"]:
            dependencies.setdefault(entry["ref"], set()).update(entry.get("dependsOn", []))
    needed = nuget(file) if file.suffix == ".nupkg" else []
    components |= {component["bom-ref"]: component for component in needed}
    direct = {part["metadata"]["component"]["bom-ref"] for part in lists} | {component["bom-ref"] for component in needed}
    dependencies[file.name] = direct
    moment = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", "0")))
    metadata: dict[str, Any] = {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", moment),
        "component": {
            "type": "file",
            "bom-ref": file.name,
            "name": file.name,
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(file.read_bytes()).hexdigest()}],
        },
    }
    if lists:
        metadata["tools"] = lists[0]["metadata"]["tools"]
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": metadata,
        "components": [components[ref] for ref in sorted(components)],
        "dependencies": [{"ref": ref, "dependsOn": sorted(dependencies[ref])} for ref in sorted(dependencies)],
    }
    text = json.dumps(bom, indent=1, ensure_ascii=False) + "\n"
    file.with_name(file.name + ".cdx.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
