"""Read what W&B wrote offline: `run-*.wandb` is a LevelDB log of protobuf records."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32 * 1024
HEADER = struct.Struct("<IHB")  # crc, length, type: 1 full, 2 first, 3 middle, 4 last


@dataclass
class OfflineRun:
    """What one file says. `exit_code` is None where the process died before its run was finished."""

    id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    project: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


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
    run = OfflineRun()
    for record in records(path):
        if record.HasField("run"):
            new = record.run
            run.id, run.name, run.group = new.run_id, new.display_name, new.run_group
            run.job_type, run.project, run.tags = new.job_type, new.project, tuple(new.tags)
            _update(run.config, new.config.update)
        elif record.HasField("config"):
            _update(run.config, record.config.update)
        elif record.HasField("history"):
            row: dict[str, Any] = {}
            _update(row, record.history.item)
            run.history.append(row)
        elif record.HasField("summary"):
            _update(run.summary, record.summary.update)
        elif record.HasField("exit"):
            run.exit_code = record.exit.exit_code
    return run


def read_runs(folder: Path) -> list[OfflineRun]:
    """All offline runs under `folder`, by id."""
    files = folder.rglob("offline-run-*/run-*.wandb")
    return sorted((read_run(file) for file in files), key=lambda run: run.id)


def _update(target: dict[str, Any], items: Any) -> None:
    for item in items:
        target[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
