"""The bill of materials and the licence list of what is installed here, made while the image is built.

    python3 docker/sbom.py LOCK.cdx.json FOLDER

LOCK.cdx.json is what `uv export --format cyclonedx1.5` makes of uv.lock, for every Python and machine that the lock
serves. FOLDER/sbom.cdx.json keeps of it what is installed, adds the licences that the packages state, and leaves out
the time and the random serial number, so that two builds give the same bytes. FOLDER/licences.csv is for people.
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
import re
import sys
from pathlib import Path
from typing import Any

PROJECT = "kolors-submit"


def installed() -> dict[tuple[str, str], str]:
    """(normalised name, version) -> licence of every installed package but the project itself."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
        if name != PROJECT:
            found[name, distribution.version] = licence(distribution.metadata)
    return found


def licence(metadata: Any) -> str:
    """What a package states: an expression (PEP 639), else its licence field where that is a line, else classifiers."""
    stated = (metadata["License-Expression"] or metadata["License"] or "").strip()
    if stated and "\n" not in stated and stated != "UNKNOWN":
        return str(stated)
    classifiers = [value for value in metadata.get_all("Classifier", []) if value.startswith("License ::")]
    return "; ".join(sorted(value.split(" :: ")[-1] for value in classifiers)) or "not stated"


def bill(lock: dict[str, Any], packages: dict[tuple[str, str], str]) -> dict[str, Any]:
    """The lock's bill of materials, cut to `packages`; ends the program where one of them is not in the lock."""
    known = {(part["name"], part["version"]) for part in lock["components"]}
    strangers = sorted(f"{name} {version}" for name, version in packages.keys() - known)
    if strangers:
        sys.exit(f"sbom: installed and not in uv.lock: {', '.join(strangers)}")
    kept = [part for part in lock["components"] if (part["name"], part["version"]) in packages]
    components = [
        part | {"licenses": [{"license": {"name": packages[part["name"], part["version"]]}}]} for part in kept
    ]
    here = {part["bom-ref"] for part in (*kept, lock["metadata"]["component"])}
    dependencies = [
        {"ref": entry["ref"], "dependsOn": [ref for ref in entry.get("dependsOn", []) if ref in here]}
        for entry in lock["dependencies"]
        if entry["ref"] in here
    ]
    metadata = {key: value for key, value in lock["metadata"].items() if key != "timestamp"}
    header = {key: value for key, value in lock.items() if key != "serialNumber"}
    return header | {"metadata": metadata, "components": components, "dependencies": dependencies}


def main(lock: Path, folder: Path) -> None:
    """Write both files."""
    packages = installed()
    value = bill(json.loads(lock.read_text("utf-8")), packages)
    (folder / "sbom.cdx.json").write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", "utf-8")
    with (folder / "licences.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("package", "version", "licence"))
        rows.writerows((name, version, text) for (name, version), text in sorted(packages.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
