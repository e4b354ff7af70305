"""Read what W&B wrote offline: `run-*.wandb` is a LevelDB log of protobuf records."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import MetricRecord, Record

BLOCK = 32 * 1024
HEADER = struct.Struct("<IHB")  # crc, length, type: 1 full, 2 first, 3 middle, 4 last


@dataclass(frozen=True)
class OfflineArtifact:
    """An artifact to be uploaded: `files` maps each name in it to where W&B will look for the file."""

    name: str
    type: str
    metadata: dict[str, Any]
    aliases: tuple[str, ...]
    used: bool
    digest: str
    files: dict[str, Path]


@dataclass
class OfflineRun:
    """What one file says. `exit_code` is None where the process died before its run was finished."""

    folder: Path
    id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    project: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, MetricRecord] = field(default_factory=dict)
    system: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[OfflineArtifact] = field(default_factory=list)
    exit_code: int | None = None

    def made(self, kind: str) -> list[OfflineArtifact]:
        """The artifacts of that type that the run made."""
        return [found for found in self.artifacts if found.type == kind and not found.used]

    def used(self, kind: str) -> list[OfflineArtifact]:
        """The artifacts of that type that the run was made from."""
        return [found for found in self.artifacts if found.type == kind and found.used]

    def preset(self, chart: str) -> str:
        """W&B's name of how that chart is drawn."""
        return str(self.config[f"_wandb.visualize.{chart}"]["panel_config"]["panelDefId"])

    def table(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table, or of the one under a chart."""
        (row,) = [row for row in self.history if f"{name}.path" in row or f"{name}_table.path" in row]
        path = row.get(f"{name}.path") or row[f"{name}_table.path"]
        found = json.loads((self.folder / "files" / path).read_text())
        return [dict(zip(found["columns"], line, strict=True)) for line in found["data"]]

    def page(self, name: str) -> str:
        """The text of a page."""
        (row,) = [row for row in self.history if f"{name}.path" in row]
        return (self.folder / "files" / row[f"{name}.path"]).read_text(encoding="utf-8")


def records(path: Path) -> Iterator[Record]:
    """Every whole record of the file. The first block starts after W&B's own 7 bytes."""
    data, position, parts = path.read_bytes(), 7, b""
    while position + HEADER.size <= len(data):
        if BLOCK - position % BLOCK < HEADER.size:  # the tail of a block is zeros
            position += BLOCK - position % BLOCK
            continue
        _, length, kind = HEADER.unpack_from(data, position)
        position += HEADER.size + length
        parts += data[position - length : position]
        if kind in (1, 4):
            yield Record.FromString(parts)
            parts = b""


def read_run(path: Path) -> OfflineRun:
    """The run in `path`, a `.wandb` file."""
    run = OfflineRun(path.parent)
    for record in records(path):
        if record.HasField("run"):
            new = record.run
            run.id, run.name, run.group = new.run_id, new.display_name, new.run_group
            run.job_type, run.project, run.tags = new.job_type, new.project, tuple(new.tags)
            _update(run.config, new.config.update)
        elif record.HasField("config"):
            _update(run.config, record.config.update)
        elif record.HasField("history"):
            run.history.append(_update({}, record.history.item))
        elif record.HasField("summary"):
            _update(run.summary, record.summary.update)
        elif record.HasField("metric"):
            run.metrics[record.metric.name or record.metric.glob_name] = record.metric
        elif record.HasField("stats"):
            run.system.append({item.key: json.loads(item.value_json) for item in record.stats.item})
        elif record.HasField("artifact"):
            run.artifacts.append(_artifact(record.artifact))
        elif record.HasField("exit"):
            run.exit_code = record.exit.exit_code
    return run


def read_runs(folder: Path) -> list[OfflineRun]:
    """All offline runs under `folder`, by id."""
    files = folder.rglob("offline-run-*/run-*.wandb")
    return sorted((read_run(file) for file in files), key=lambda run: run.id)


def _artifact(found: Any) -> OfflineArtifact:
    return OfflineArtifact(
        name=found.name,
        type=found.type,
        metadata=json.loads(found.metadata or "{}"),
        aliases=tuple(found.aliases),
        used=found.use_after_commit,
        digest=found.digest,
        files={item.path: Path(item.local_path) for item in found.manifest.contents},
    )


def _update(target: dict[str, Any], items: Any) -> dict[str, Any]:
    for item in items:
        target[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
    return target
