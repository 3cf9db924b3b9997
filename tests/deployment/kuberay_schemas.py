"""KubeRay's published schemas against manifests, and the part of them that is kept beside this file.

    git clone https://github.com/ray-project/kuberay && cd kuberay && git checkout v1.7.0
    python -m tests.deployment.kuberay_schemas kuberay/helm-chart/kuberay-operator/crds

writes kuberay_schemas.json anew, from the CRDs in that folder: of each schema only the fields that a manifest in
ray_jobs/kuberay sets, and what is required beside them, without descriptions. So a field that is not in the file is
either unknown to KubeRay or new in a manifest; the command tells which. Where LONGSTRAP_KUBERAY_CRDS names the folder,
the tests take the whole schemas instead.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "ray_jobs" / "kuberay"
REDUCED_FILE = Path(__file__).with_suffix(".json")
SOURCE = (
    "Part of the CustomResourceDefinitions of https://github.com/ray-project/kuberay v1.7.0 "
    "(helm-chart/kuberay-operator/crds), Apache-2.0, reduced by tests/deployment/kuberay_schemas.py"
)
KEPT_KEYWORDS = (
    *(
        "type",
        "format",
        "enum",
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "anyOf",
    ),
    *("required", "nullable", "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"),
)


def read_manifests(folder: Path = MANIFESTS) -> dict[str, dict[str, Any]]:
    """File's name → its one document."""
    return {path.name: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))}


def read_crds(folder: Path) -> dict[str, dict[str, Any]]:
    """Kind → schema of its version v1, from a folder of CRDs."""
    schemas = {}
    for path in sorted(folder.glob("ray.io_*.yaml")):
        definition = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["spec"]
        [version] = [version for version in definition["versions"] if version["name"] == "v1"]
        schemas[definition["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
    return schemas


def read_reduced() -> dict[str, dict[str, Any]]:
    """The same of the part that is kept here."""
    schemas: dict[str, dict[str, Any]] = json.loads(REDUCED_FILE.read_text())["schemas"]
    return schemas


def reduce_schema(schema: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """The part of a schema that speaks of these values."""
    reduced = {name: schema[name] for name in KEPT_KEYWORDS if name in schema}
    objects = [value for value in values if isinstance(value, dict)]
    if "properties" in schema:
        used = {name for value in objects for name in value} | set(schema.get("required", ()))
        reduced["properties"] = {
            name: reduce_schema(field, [value[name] for value in objects if name in value])
            for name, field in schema["properties"].items()
            if name in used
        }
    elif isinstance(schema.get("additionalProperties"), dict):
        members = [member for value in objects for member in value.values()]
        reduced["additionalProperties"] = reduce_schema(schema["additionalProperties"], members)
    if "items" in schema:
        members = [member for value in values if isinstance(value, list) for member in value]
        reduced["items"] = reduce_schema(schema["items"], members)
    return reduced


def faults(schema: dict[str, Any], manifest: dict[str, Any]) -> list[str]:
    """What Kubernetes would refuse, and the fields that it would drop without a word: unknown ones."""
    errors = jsonschema.Draft202012Validator(_closed(schema)).iter_errors(manifest)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """A structural schema as JSON schema, in which no object takes fields that it does not name."""
    closed = dict(schema)
    if "properties" in schema:
        closed["properties"] = {name: _closed(field) for name, field in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        closed["additionalProperties"] = _closed(schema["additionalProperties"])
    if "items" in schema:
        closed["items"] = _closed(schema["items"])
    # Kubernetes' own check: the schema of a CRD only says that there is such an object.
    if schema.get("type") == "object" and schema.get("properties", {}).keys() >= {
        "kind",
        "apiVersion",
        "spec",
    }:
        closed["properties"]["metadata"] = {"type": "object", "required": ["name"]}
    return closed


def main(folder: str) -> None:
    """Write the part that is kept."""
    manifests = read_manifests().values()
    schemas = {
        kind: reduce_schema(schema, values)
        for kind, schema in read_crds(Path(folder)).items()
        if (values := [manifest for manifest in manifests if manifest["kind"] == kind])
    }
    REDUCED_FILE.write_text(json.dumps({"source": SOURCE, "schemas": schemas}, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
