"""Labels in a set's own spelling, mapped to ours where its configuration says so."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from train_fn.source import Source


def relabelled(source: "Source", labels: Mapping[str, str]) -> "Source":
    """The source with the values of its label column replaced by `labels`, and a fingerprint that says so.

    Values are matched by their text, so 0 by "0". A value that `labels` does not name stays as it is.
    """
    if not labels:
        return source
    from dataclasses import replace

    told = json.dumps(dict(labels), sort_keys=True)
    fingerprint = hashlib.sha256(f"{source.fingerprint} {told}".encode()).hexdigest()
    return replace(source, fingerprint=fingerprint, load=_mapped(source.load, labels, fingerprint))


def _mapped(
    load: Callable[[], Mapping[str, Any]], labels: Mapping[str, str], fingerprint: str
) -> Callable[[], Mapping[str, Any]]:
    def mapped() -> Mapping[str, Any]:
        from datasets import Dataset

        return {
            name: Dataset(
                _map(split.data.table, labels), split=split.split, fingerprint=f"{fingerprint[:16]}-{name}"
            )
            for name, split in load().items()
        }

    return mapped


def _map(table: pa.Table, labels: Mapping[str, str]) -> pa.Table:
    """The table with mapped labels. A column that has no text, or is missing, is left for the checks to name."""
    if "label" not in table.column_names or isinstance(table["label"].type, pa.BaseExtensionType):
        return table
    try:
        found = table["label"].cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return table
    known = pc.index_in(found, value_set=pa.array(list(labels), pa.string()))
    mapped = pc.take(pa.array(list(labels.values()), pa.string()), known.combine_chunks())
    column = pc.coalesce(pa.chunked_array([mapped]), pa.chunked_array([found.combine_chunks()]))
    return table.set_column(table.column_names.index("label"), "label", column)
