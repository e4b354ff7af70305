"""Pages of a mapped column are let go and read again; memory that is no file's is never touched."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from train_fn.pages import MAPS, let_go, read_once, read_only_files

STATUS = Path("/proc/self/status")
TEXTS = [f"text number {number} " + "x" * 1000 for number in range(40_000)]  # 40 MB

pytestmark = pytest.mark.skipif(not MAPS.exists(), reason="only Linux tells what is mapped where")


def mapped_mib() -> int:
    return int(STATUS.read_text().split("RssFile:")[1].split()[0]) >> 10


@pytest.fixture
def column(tmp_path: Path) -> pa.ChunkedArray:
    with pa.OSFile(str(tmp_path / "texts"), "wb") as sink:
        table = pa.table({"text": TEXTS})
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=1000)
    return pa.ipc.open_stream(pa.memory_map(str(tmp_path / "texts"))).read_all()["text"]


def test_a_column_read_once_holds_few_pages_and_is_what_it_was(column: pa.ChunkedArray) -> None:
    before = mapped_mib()
    pc.sum(pc.utf8_length(column))
    assert mapped_mib() - before > 30  # the whole of it
    let_go(column, read_only_files())
    assert mapped_mib() - before < 5
    most = max(mapped_mib() - before for chunk in read_once(column) if pc.sum(pc.utf8_length(chunk)))
    assert most < 10
    assert column.to_pylist() == TEXTS


def test_a_mapped_array_is_let_go_and_is_what_it_was(tmp_path: Path) -> None:
    values = np.arange(10_000_000, dtype=np.int32)
    np.save(tmp_path / "tokens.npy", values)
    mapped = np.asarray(np.load(tmp_path / "tokens.npy", mmap_mode="r"))
    before = mapped_mib()
    assert mapped.sum() == values.sum()
    assert mapped_mib() - before > 30
    let_go(mapped, read_only_files())
    assert mapped_mib() - before < 5
    assert np.array_equal(mapped, values)


def test_a_column_in_memory_stays_as_it_is() -> None:
    column = pa.chunked_array([TEXTS[:2000], TEXTS[2000:4000]])
    let_go(column, read_only_files())
    assert list(read_once(column)) == column.chunks
    assert column.to_pylist() == TEXTS[:4000]
