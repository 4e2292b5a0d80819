"""`make sbom`: what is installed with the wheel, as a CycloneDX document (https://cyclonedx.org) in `dist/`.

Names, versions and hashes are those of `requirements/runtime.lock`; licences, and who needs whom, are what the
installed packages say of themselves. The same lock gives the same bytes, so no time and no serial number is in it. A
document that CycloneDX's own schema refuses is a ValueError.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from worker import __version__

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "runtime.lock"
TARGET = ROOT / "dist" / "zaptik-sync.cdx.json"
DISTRIBUTION = "zaptik-sync"

_PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def build_sbom(lock: str) -> str:
    """Give the document for a lock's text."""
    components = {component.name: component for component in _read_components(lock)}
    root = Component(
        name=DISTRIBUTION, version=__version__, type=ComponentType.APPLICATION, bom_ref=DISTRIBUTION
    )
    bom = Bom(components=components.values())
    bom.metadata.component = root
    for component in (root, *components.values()):
        needed = [components[name] for name in _read_needs(component.name) if name in components]
        bom.register_dependency(component, needed)
    document: dict[str, object] = json.loads(JsonV1Dot6(bom).output_as_string())
    document.pop("serialNumber")
    document["metadata"] = {"component": document["metadata"]["component"]}  # type: ignore[index]
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(f"what was made is no CycloneDX document: {error}")
    return text


def _read_components(lock: str) -> Iterator[Component]:
    pins = list(_PIN.finditer(lock))
    ends = [pin.start() for pin in pins[1:]] + [len(lock)]
    for pin, end in zip(pins, ends, strict=True):
        name, version = canonicalize_name(pin[1]), pin[2]
        yield Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            bom_ref=f"{name}@{version}",
            purl=PackageURL("pypi", name=name, version=version),
            hashes=[
                HashType(alg=HashAlgorithm.SHA_256, content=found)
                for found in _HASH.findall(lock, pin.end(), end)
            ],
            licenses=[LicenseFactory().make_from_string(said) for said in _read_licence(name)],
        )


def _read_licence(name: str) -> list[str]:
    """Give a package's licence as it says it, at most one; none of a package that this platform does not need."""
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return []
    classes = [
        line.rpartition(" :: ")[2] for line in said.get_all("Classifier", ()) if line.startswith("License ::")
    ]
    return [
        found
        for found in (*said.get_all("License-Expression", ()), *said.get_all("License", ()), *classes)
        if found
    ][:1]


def _read_needs(name: str) -> set[str]:
    """Give what a package needs here, by name; its extras are not followed but for `psycopg[binary]`'s."""
    try:
        requirements = [Requirement(text) for text in metadata.requires(name) or ()]
    except metadata.PackageNotFoundError:
        return set()
    return {
        canonicalize_name(found.name)
        for found in requirements
        if found.marker is None or any(found.marker.evaluate({"extra": extra}) for extra in ("", "binary"))
    }


def main() -> int:
    """Write the document and say where."""
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(build_sbom(LOCK.read_text("utf-8")), "utf-8")
    print(
        f"{TARGET.relative_to(ROOT)}: {len(_PIN.findall(LOCK.read_text('utf-8')))} packages beside {DISTRIBUTION}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
