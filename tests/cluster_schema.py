"""JSON Schemas of what configs/cluster/ uses of Kubernetes and KubeRay.

Read in KubeRay's ray.io/v1 types (RayJobSpec, RayClusterSpec, AuthOptions of 1.5.1) and in the core v1 API. Every
field that is used is here with its type, and no other is let through, so that a misspelt one is found.
"""

from typing import Any

TEXT = {"type": "string", "minLength": 1}
COUNT = {"type": "integer", "minimum": 0}
QUANTITY = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d+(\.\d+)?(m|[KMGT]i?)?$"}]}


def each(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": 1}


def exactly(required: str, **properties: Any) -> dict[str, Any]:
    """An object with these properties alone, those of `required` among them."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


METADATA = {
    **exactly("", name=TEXT, generateName=TEXT),
    "minProperties": 1,
}
RESOURCES = {"type": "object", "additionalProperties": QUANTITY}
SECRET = exactly("name key", name=TEXT, key=TEXT, optional={"type": "boolean"})
VARIABLE = {
    **exactly("name", name=TEXT, value=TEXT, valueFrom=exactly("secretKeyRef", secretKeyRef=SECRET)),
    "oneOf": [{"required": ["value"]}, {"required": ["valueFrom"]}],
}
CONTAINER = exactly(
    "name image resources volumeMounts",
    name=TEXT,
    image=TEXT,
    resources=exactly("limits requests", limits=RESOURCES, requests=RESOURCES),
    env=each(VARIABLE),
    volumeMounts=each(exactly("name mountPath", name=TEXT, mountPath={**TEXT, "pattern": "^/"})),
)
VOLUME = exactly("name", name=TEXT, persistentVolumeClaim=exactly("claimName", claimName=TEXT))
POD = exactly("spec", spec=exactly("containers", containers=each(CONTAINER), volumes=each(VOLUME)))
PARAMETERS = {"type": "object", "additionalProperties": {"type": "string"}}  # numbers must be quoted
WORKERS = exactly(
    "groupName minReplicas maxReplicas rayStartParams template",
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    rayStartParams=PARAMETERS,
    template=POD,
)
CLUSTER = exactly(
    "headGroupSpec workerGroupSpecs",
    rayVersion=TEXT,
    authOptions=exactly("mode", mode={"enum": ["disabled", "token"]}),
    headGroupSpec=exactly("rayStartParams template", rayStartParams=PARAMETERS, template=POD),
    workerGroupSpecs=each(WORKERS),
)
RAY_JOB = exactly(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=METADATA,
    spec=exactly(
        "entrypoint rayClusterSpec",
        entrypoint=TEXT,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        backoffLimit=COUNT,
        rayClusterSpec=CLUSTER,
    ),
)
CLAIM = exactly(
    "apiVersion kind metadata spec",
    apiVersion={"const": "v1"},
    kind={"const": "PersistentVolumeClaim"},
    metadata=METADATA,
    spec=exactly(
        "accessModes resources",
        accessModes=each({"enum": ["ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"]}),
        storageClassName=TEXT,
        resources=exactly("requests", requests=exactly("storage", storage=QUANTITY)),
    ),
)
