"""Nothing that is read can run code: no pickle, no YAML of objects, no model's own modules."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from train_fn.arrays import read_array, read_arrays
from train_fn.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
FILES = [path for room in ("search", "train_fn") for path in sorted((ROOT / room).glob("*.py"))]
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
FORBIDDEN = {
    "torch.load", "torch.jit.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "eval", "exec",
    "compile",
    "pd.read_pickle", "pandas.read_pickle", "os.system", "os.popen",
}  # fmt: skip
ONLY_WITH = {  # a call, and the words that it must have
    "np.load": "allow_pickle=False",
    "yaml.load": "Loader=PlainLoader",
    "AutoTokenizer.from_pretrained": "trust_remote_code=False",
    "AutoModelForSequenceClassification.from_pretrained": "trust_remote_code=False",
}


def troubles(code: str) -> Iterator[str]:
    """What of a module could run what it reads."""
    for node in ast.walk(ast.parse(code)):
        names = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{name.name}" for name in node.names)]
        yield from (name for name in names if name.split(".")[0] in PICKLES or name in FORBIDDEN)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            words = {ast.unparse(word) for word in node.keywords}
            if called in FORBIDDEN or ONLY_WITH.get(called, "") not in {*words, ""}:
                yield ast.unparse(node)
            yield from (word for word in words if word in ("shell=True", "trust_remote_code=True"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_no_module_can_run_what_it_reads(path: Path) -> None:
    assert list(troubles(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "from torch import load\nload(x)",
        "torch.load(x, weights_only=True)",
        "np.load(x)",
        "np.load(x, allow_pickle=True)",
        "yaml.load(x, Loader=yaml.Loader)",
        "AutoTokenizer.from_pretrained(x)",
        "load_dataset(x, trust_remote_code=True)",
        "subprocess.run(x, shell=True)",
        "eval(x)",
    ],
)
def test_what_could_is_found(code: str) -> None:
    assert list(troubles(code))


def test_an_array_that_is_none_is_refused(tmp_path: Path) -> None:
    from hostile_files import pickled

    files = {"a.npy": pickled(array=True), "b.npy": pickled(), "c.npy": b"", "d.npy": b"PK\3\4"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="must be an array of numbers"):
            read_array(tmp_path / name)
        with pytest.raises(InputError, match="must be an array of numbers"):
            read_arrays(tmp_path / name, ["a"])
    with pytest.raises(FileNotFoundError):
        read_array(tmp_path / "e.npy", mapped=True)
