"""Bad inputs of every kind, and what a command says to each. Run: pytest tests/test_hostile.py -s

HERE is a folder with a data set (HERE/set), an output folder with the study `good` on it, a detector (HERE/run)
and texts to score (HERE/texts.csv). MODEL is a folder with a tokenizer. A case may spoil what is HERE before its
command runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from hostile_files import (
    AI,
    HUMAN,
    column_twice,
    csv_of,
    cut,
    folder_at,
    linked,
    linked_to_itself,
    pickled,
    rows_of,
    torn,
    write,
)

TUNE = "search/tune.py --dataset HERE/set --model MODEL --set max_length=64"
PROMOTE = "search/promote.py --dataset HERE/set --model MODEL"
REPORT = "search/report.py"
TRAIN = "train_fn/train.py --dataset HERE/set --model MODEL --set max_length=64"
AUDIT = "train_fn/audit.py --dataset HERE/set --model MODEL --set max_length=64"
PREDICT = "train_fn/predict.py --run HERE/run"
LONG = "a" * 300
STUDY = "output/studies/good"
TRIALS, PARAMS = f"{STUDY}/trials.jsonl", f"{STUDY}/trials/0001/params.json"

Spoil = Callable[[Path], object]


def nothing(here: Path) -> None:
    """Leave all as it is."""


@dataclass(frozen=True)
class Case:
    """A command, split as a shell does, and a part of what it says; `spoil` gets HERE."""

    command: str
    says: str
    spoil: Spoil = nothing
    environment: Mapping[str, str] = field(default_factory=dict)


COMMAND_LINE = {
    "an empty data set": Case("search/tune.py --dataset ''", "--dataset must be one of"),
    "a data set of nobody's home": Case(
        "search/tune.py --dataset ~nobody-here/set", "home folder that is known"
    ),
    "a data set of 5,000 letters": Case(f"search/tune.py --dataset {'b' * 5000}", "--dataset must be one of"),
    "a file as data set": Case(
        "train_fn/audit.py --dataset HERE/set/train.parquet", "--dataset must be one of"
    ),
    "a data set in other letters": Case("search/tune.py --dataset '1\u041c'", "got '1\\u041c'"),
    "a study above": Case(f"{TUNE} --study ../../evil", "--study takes at most 64 letters"),
    "a study from the root": Case(f"{TUNE} --study /tmp/evil", "--study takes at most 64 letters"),
    "a study of 300 letters": Case(f"{TUNE} --study {LONG}", "--study takes at most 64 letters"),
    "a study of two lines": Case(f"{TUNE} --study 'a\nb'", "got 'a\\nb'"),
    "a study to report above": Case(f"{REPORT} --study ..", "--study takes at most 64 letters"),
    "a study that is a link out": Case(
        f"{TUNE} --study out", "must lie in", lambda here: linked(here / "output/studies/out", here)
    ),
    "a report on a link out": Case(
        f"{REPORT} --study out", "remove the link", lambda here: linked(here / "output/studies/out", here)
    ),
    "a run that is a link out": Case(
        f"{TRAIN} --replace", "remove the link", lambda here: linked(here / "output/model-set", here)
    ),
    "a file as output": Case(f"{TUNE} --output HERE/texts.csv", "--output must be a folder"),
    "an output in a file": Case(f"{REPORT} --output HERE/texts.csv/a/b", "--output must be a folder"),
    "an output that cannot be": Case(f"{REPORT} --output /proc/nowhere/output", "there is none in"),
    "a run that cannot be": Case(f"{TRAIN} --output /proc/nowhere/output", "another --output"),
    "an output of nobody": Case(f"{REPORT} --output ~nobody-here/output", "home folder that is known"),
    "no trials": Case(f"{TUNE} --trials 0", "trials: Input should be greater than or equal to 1"),
    "trials in words": Case(f"{TUNE} --trials twenty", "Invalid value for '--trials'"),
    "a billion trials": Case(f"{TUNE} --trials 1000000000", "trials: Input should be less than"),
    "seeds below none": Case(f"{TUNE} --confirm-seeds -1", "confirm_seeds"),
    "a time that is over": Case(f"{TUNE} --time-budget 0s", "time_budget: Input should be greater than 0"),
    "a time without a unit": Case(f"{TUNE} --time-budget '8 hours'", "such as 8h"),
    "a time without an end": Case(
        f"{TUNE} --time-budget {'9' * 400}h", "time_budget: Input should be a finite"
    ),
    "no part of a GPU": Case(f"{TUNE} --gpus-per-trial nan", "gpus_per_trial: Input should be a finite"),
    "more than a GPU": Case(f"{TUNE} --gpus-per-trial 1.5", "gpus_per_trial: Input should be less than"),
    "a seed below 0": Case(f"{TUNE} --seed -1", "seed: Input should be greater than"),
    "three rows": Case(f"{TUNE} --max-rows 3", "max_rows: Input should be greater than"),
    "a price that is no number": Case(f"{TUNE} --price-per-hour nan", "--price-per-hour must be 0 or more"),
    "no model": Case(f"{TUNE} --model ''", "model: String should have at least 1"),
    "a model by URL": Case(f"{TUNE} --model https://user:hf_{'x' * 30}@host/m", "https://[hidden]@host/m"),
    "a model that is none": Case(f"{TUNE} --model HERE", "model must be a Transformers folder"),
    "an earlier study that is this one": Case(f"{TUNE} --from good --study good", "the one to be searched"),
    "no trial named": Case(PROMOTE, "say which trial"),
    "a trial without its study": Case(f"{PROMOTE} --best --trial 1", "--trial needs --study"),
    "a trial below 0": Case(f"{PROMOTE} --study good --trial -1", "has no complete trial -1"),
    "more than the study has": Case(f"{PROMOTE} --study good --top 99", "has 3; give a smaller --top"),
    "no workers": Case(f"{PROMOTE} --study good --workers 0", "workers: Input should be greater than"),
    "two ways to choose": Case(f"{PROMOTE} --study good --trial 1 --top 2", "give one of them"),
    "a text of white space": Case(f"{PREDICT} ' '", "the text is empty"),
    "a rate in parts": Case(f"{PREDICT} a --fpr 0.5", "Invalid value for '--fpr'"),
    "a file as run": Case("train_fn/predict.py --run HERE/texts.csv a", "--run must be the folder of a run"),
    "results in no folder": Case(f"{PREDICT} a --output /proc/nowhere/a.csv", "/proc/nowhere must be usable"),
}  # fmt: skip


def setting(text: str) -> str:
    return f"{TUNE} --set '{text}'"


def settings_file(content: str | bytes) -> Spoil:
    return lambda here: write(here / "set/dataset.yaml", content)


CONFIGURATION = {
    "a key alone": Case(setting("lora_rank"), "--set takes key=value"),
    "a value alone": Case(setting("=3"), "--set takes key=value"),
    "two values": Case(f"{TUNE} --set lora_rank=8 --set lora_rank=16", "but is given as 8 and 16"),
    "a key into nothing": Case(setting("space.nothing.low=1"), "unknown key space.nothing.low"),
    "a key of a part": Case(setting("space.learning_rate=1"), "did you mean space.learning_rate.low"),
    "a key in other letters": Case(setting("le\u0430rning_rate=1e-4"), "le\\u0430rning_rate"),
    "a mapping as number": Case(
        setting("learning_rate={a: 1}"), "learning_rate: Input should be a valid number"
    ),
    "a list as number": Case(setting("epochs=[1]"), "epochs: Input should be a valid number"),
    "not a number": Case(setting("learning_rate=.nan"), "learning_rate: Input should be a finite number"),
    "endless": Case(setting("max_grad_norm=1e999"), "max_grad_norm: Input should be a finite number"),
    "a truth value as number": Case(setting("batch_size=on"), "batch_size: must not be a truth value"),
    "half a sample": Case(setting("batch_size=1.5"), "batch_size: Input should be a valid integer"),
    "a huge number": Case(
        setting("batch_size=1000000000000000000000"), "batch_size: Input should be less than"
    ),
    "5,000 digits": Case(setting(f"batch_size={'1' * 5000}"), "--set batch_size: the value must be"),
    "a rate below 0": Case(setting("learning_rate=-1e-4"), "learning_rate: Input should be greater than 0"),
    "a bomb of aliases": Case(setting("rungs=[&a [1, 1], *a, *a]"), "an alias (*name); write its value out"),
    "3,000 brackets": Case(setting(f"rungs={'[' * 3000}"), "recursion"),
    "a Python object": Case(
        setting("model=!!python/object/apply:os.getcwd []"), "could not determine a constr"
    ),
    "a date that is none": Case(setting("model=2020-13-45"), "month must be in 1..12"),
    "a null character": Case(
        "search/tune.py --dataset HERE/set --set 'model=\"a\\0b\"'", "model: must be a Hub name"
    ),
    "no layers": Case(setting("target_modules=[]"), "should have at least 1 item"),
    "a revision above": Case(setting("model_revision=../../x"), "model_revision: String should match"),
    "a space upside down": Case(setting("space.learning_rate.low=1"), "low <= high must hold"),
    "a space without its default": Case(setting("space.learning_rate.low=1e-3"), "trial 0 is the default"),
    "a rank of 3": Case(setting("space.lora_rank.low=3"), "must be a power of two"),
    "a rank of a half": Case(setting("space.lora_rank.low=0.5"), "the low end of the search space"),
    "a ratio of 0": Case(setting("space.lora_alpha_ratio.low=0"), "greater than 0"),
    "a weight table that is not there": Case(setting("class_weights=published"), "has none; use inverse"),
    "rungs that fall": Case(
        f"{PROMOTE} --best --study good --set 'rungs=[0.5, 0.1]'", "fractions that ascend"
    ),
    "no rungs": Case(
        f"{PROMOTE} --best --study good --set 'rungs=[]'", "rungs: Tuple should have at least 1"
    ),
    "a search's key for a run": Case(f"{TRAIN} --set trials=3", "unknown key trials"),
    "settings that are a list": Case(TUNE, "must hold `key: value` lines", settings_file("- a\n")),
    "settings with a key twice": Case(
        TUNE, "train stands twice", settings_file("train: {}\ntrain: {seed: 1}\n")
    ),
    "settings with a tab": Case(TUNE, "cannot start any token", settings_file("train:\n\tseed: 1\n")),
    "settings in Latin-1": Case(TUNE, "must be a readable YAML file", settings_file(b"labels: {\xe4: x}\n")),
    "settings with a number as key": Case(TUNE, "may hold labels, train, search", settings_file("1: 2\n")),
    "settings of 10 MB": Case(TUNE, "at most 100,000 bytes", settings_file(b"#" * 10_000_000)),
    "settings that name a place": Case(TUNE, "but holds path", settings_file("path: /etc\n")),
    "settings that are a folder": Case(
        TUNE, "Is a directory", lambda here: (here / "set/dataset.yaml").mkdir()
    ),
    "settings with a URL": Case(
        TUNE, "train section of data set set", settings_file("train: {model: 'http://a@b/c'}\n")
    ),
}  # fmt: skip


def split(name: str, **columns: Any) -> Spoil:
    return lambda here: rows_of(here / f"set/{name}.parquet", **columns)


def wrong_bytes(column: str) -> Spoil:
    """Strings as a file may call them, in that column."""
    wrong = pa.array([b"\xff", b"\xfe"]).view(pa.string())
    return split("train", **{"text": ["a", "b"], "label": [AI, HUMAN], column: wrong})


def instead(name: str, content: str | bytes) -> Spoil:
    """The training rows as another file."""

    def spoil(here: Path) -> None:
        (here / "set/train.parquet").unlink()
        write(here / f"set/{name}", content)

    return spoil


DATA = {
    "no labels": Case(AUDIT, "but label is missing; there: text", split("train", text=["a", "b"])),
    "blank texts": Case(AUDIT, "2 empty or only white", split("test", text=[" ", "\n\t"], label=[AI, HUMAN])),
    "texts in lists": Case(AUDIT, "2 not a string", split("train", text=[["a"], ["b"]], label=[AI, HUMAN])),
    "texts in parts": Case(AUDIT, "2 not a string", split("train", text=[{"a": "b"}] * 2, label=[AI, HUMAN])),
    "texts of bytes": Case(AUDIT, "not a string", split("train", text=[b"\xff", b"b"], label=[AI, HUMAN])),
    "labels of lists": Case(
        AUDIT, "every label must be", split("train", text=["a", "b"], label=[[AI], [HUMAN]])
    ),
    "labels nobody knows": Case(
        AUDIT, "row 0 (the first row is 0) has 'Robot'",
        split("test", text=["a", "b"], label=["Robot", HUMAN]),
    ),
    "labels with a code for terminals": Case(
        AUDIT, "\\x1b[31mred", split("test", text=["a", "b"], label=["\x1b[31mred", HUMAN])
    ),
    "columns with a code for terminals": Case(AUDIT, "\\x1b[2J", split("test", **{"\x1b[2J": ["a"]})),
    "one class": Case(AUDIT, "must hold rows of both classes", split("test", text=["a"] * 2, label=[AI] * 2)),
    "no rows": Case(AUDIT, "train.parquet must be readable", split("train", text=[], label=[])),
    "a parquet of nothing": Case(AUDIT, "train.parquet must be readable", instead("train.parquet", b"")),
    "a parquet cut": Case(
        AUDIT, "train.parquet must be readable", lambda here: cut(here / "set/train.parquet")
    ),
    "a parquet that is csv": Case(AUDIT, "must be readable", instead("train.parquet", "text,label\na,b\n")),
    "a csv of open quotes": Case(AUDIT, "train.csv must be readable", instead("train.csv", csv_of('"open'))),
    "a csv in UTF-16": Case(
        AUDIT, "train.csv must be readable", instead("train.csv", csv_of("a").encode("utf-16"))
    ),
    "a csv of unequal rows": Case(
        AUDIT, "the first row has 5; put texts with commas", instead("train.csv", csv_of("a,b,c,d"))
    ),
    "a jsonl cut": Case(AUDIT, "train.jsonl must be readable", instead("train.jsonl", '{"text": "a", "lab')),
    "a jsonl of mixed texts": Case(
        AUDIT, "1 not a string",
        instead("train.jsonl", f'{{"text": "a", "label": "{AI}"}}\n{{"text": 1, "label": "{HUMAN}"}}\n'),
    ),
    "a jsonl of brackets": Case(AUDIT, "train.jsonl must be readable", instead("train.jsonl", "[" * 100_000)),
    "a pickle as jsonl": Case(AUDIT, "train.jsonl must be readable", instead("train.jsonl", pickled())),
    "a csv of more and more": Case(
        AUDIT, "train.csv must be readable", instead("train.csv", csv_of("a") + "a,b,c,d\n")
    ),
    "texts of no UTF-8": Case(AUDIT, "every text must be UTF-8, but from row 0 on", wrong_bytes("text")),
    "labels of no UTF-8": Case(AUDIT, "the column label must hold strings", wrong_bytes("label")),
    "domains in lists": Case(
        AUDIT, "the column domain must hold",
        split("train", text=["a", "b"], label=[AI, HUMAN], domain=[["a"]] * 2),
    ),
    "a column twice": Case(AUDIT, "train.parquet", lambda here: column_twice(here / "set/train.parquet")),
    "no validation": Case(
        AUDIT, "validation is missing", lambda here: (here / "set/validation.parquet").unlink()
    ),
    "a split twice": Case(
        AUDIT, "split train must be one file", lambda here: write(here / "set/train.csv", csv_of("a"))
    ),
    "a shard that is missing": Case(
        AUDIT, "every shard",
        lambda here: (here / "set/test.parquet").rename(here / "set/test-00001-of-00002.parquet"),
    ),
    "a link to itself": Case(
        AUDIT, "train.parquet", lambda here: linked_to_itself(here / "set/train.parquet")
    ),
    "a folder as split": Case(AUDIT, "train.parquet", lambda here: folder_at(here / "set/train.parquet")),
    "bad rows in a search": Case(TUNE, "both classes", split("test", text=["a"] * 2, label=[AI] * 2)),
    "bad rows in a run": Case(TRAIN, "both classes", split("test", text=["a"] * 2, label=[AI] * 2)),
    "bad rows in a promotion": Case(
        f"{PROMOTE} --study good", "both classes", split("test", text=["a"] * 2, label=[AI] * 2)
    ),
    "texts without a column": Case(
        f"{PREDICT} --file HERE/texts.csv --column body", "must have the column body"
    ),
    "texts that are a folder": Case(
        f"{PREDICT} --file HERE/a.csv", "is not there", lambda here: (here / "a.csv").mkdir()
    ),
    "texts cut": Case(
        f"{PREDICT} --file HERE/set/train.parquet", "must be parquet",
        lambda here: cut(here / "set/train.parquet"),
    ),
    "texts of binary data": Case(
        f"{PREDICT} --file HERE/a.txt", "must be text in UTF-8",
        lambda here: write(here / "a.txt", b"\xff\xfe\x00"),
    ),
    "no texts": Case(
        f"{PREDICT} --file HERE/a.jsonl", "but has none", lambda here: write(here / "a.jsonl", "")
    ),
}  # fmt: skip


def file(name: str, content: str | bytes) -> Spoil:
    return lambda here: write(here / name, content)


FOR_STUDY = (f"{REPORT} --study good", f"{PROMOTE} --study good", f"{TUNE} --study good")
DISK = {
    **{
        f"{what} ({command.split()[0]})": Case(command, says, spoil)
        for what, says, spoil, commands in (
            ("a study's settings cut", "config.yaml", lambda here: cut(here / STUDY / "config.yaml"), FOR_STUDY),
            ("a study's settings gone bad", "config.yaml", file(f"{STUDY}/config.yaml", b"\xff\x00"), FOR_STUDY),
            ("a study of an older form", "config.yaml", file(f"{STUDY}/config.yaml", "rates: [1]\n"), FOR_STUDY),
            ("a torn line amid the trials", "trials.jsonl", lambda here: torn(here / TRIALS), FOR_STUDY),
            ("trials of an older form", "trials.jsonl", file(TRIALS, '{"lr": 1}\n'), FOR_STUDY),
            ("trials that are binary", "trials.jsonl", file(TRIALS, b"\x80\x02\n" * 9), FOR_STUDY),
            ("a trial's parameters gone bad", "params.json", file(PARAMS, "{"), FOR_STUDY[::2]),
            ("a confirmation gone bad", "confirm.jsonl", file(f"{STUDY}/confirm.jsonl", "[]\n"), FOR_STUDY),
            ("a prior gone bad", "prior.json", file(f"{STUDY}/prior.json", "{"), FOR_STUDY[:1]),
        )
        for command in commands
    },
    "hashes that are a pickle": Case(
        f"{PROMOTE} --study good", "train_texts.npy must be an array",
        file(f"{STUDY}/train_texts.npy", pickled()),
    ),
    "hashes of objects": Case(
        f"{PROMOTE} --study good", "train_texts.npy must be an array",
        file(f"{STUDY}/train_texts.npy", pickled(array=True)),
    ),
    "a study without a trial": Case(
        f"{PROMOTE} --study good", "no complete trial yet",
        lambda here: (here / STUDY / "trials.jsonl").unlink(),
    ),
    "an unfinished run of other settings": Case(
        TRAIN, "an unfinished run of other settings", file("output/model-set/config.yaml", "train: {seed: 7}\n")
    ),
    "a run's settings gone bad": Case(TRAIN, "readable YAML", file("output/model-set/config.yaml", "a: [\n")),
    "a run that is a file": Case(TRAIN, "model-set", file("output/model-set", "a file")),
    "an adapter of no bytes": Case(
        f"{PREDICT} a", "must be a safetensors file", file("run/adapter/adapter_model.safetensors", b"")
    ),
    "an adapter cut": Case(
        f"{PREDICT} a", "must be a safetensors file",
        lambda here: cut(here / "run/adapter/adapter_model.safetensors"),
    ),
    "an adapter that is a pickle": Case(
        f"{PREDICT} a", "must be a safetensors file", file("run/adapter/adapter_model.safetensors", pickled())
    ),
    "no adapter": Case(
        f"{PREDICT} a", "has no adapter",
        lambda here: (here / "run/adapter/adapter_model.safetensors").unlink(),
    ),
    "an adapter's settings gone bad": Case(
        f"{PREDICT} a", "JSON", file("run/adapter/adapter_config.json", "[")
    ),
    "a run's settings without training": Case(
        f"{PREDICT} a", "no train section", file("run/config.yaml", "a: 1\n")
    ),
    "a run of another model": Case(
        f"{PREDICT} a", "must be at /nowhere/model",
        file("run/config.yaml", "train: {model: /nowhere/model}\n"),
    ),
    "thresholds gone bad": Case(
        f"{PREDICT} a", "must hold a JSON object", file("run/thresholds.json", "[" * 10)
    ),
    "thresholds that are endless": Case(
        f"{PREDICT} a", "thresholds.json", file("run/thresholds.json", '{"temperature": NaN}')
    ),
}  # fmt: skip

ENVIRONMENT = {
    "no such mode of W&B": Case(TUNE, "WANDB_MODE must be online", environment={"WANDB_MODE": "perhaps"}),
    "threads in words": Case(
        TRAIN, "OMP_NUM_THREADS must be a number", environment={"OMP_NUM_THREADS": "abc"}
    ),
    "no threads": Case(AUDIT, "OMP_NUM_THREADS must be a number", environment={"OMP_NUM_THREADS": "0"}),
    "GPUs in words": Case(
        PREDICT, "CUDA_VISIBLE_DEVICES must be", environment={"CUDA_VISIBLE_DEVICES": "all"}
    ),
}  # fmt: skip

CASES = {
    **{f"command line: {name}": case for name, case in COMMAND_LINE.items()},
    **{f"configuration: {name}": case for name, case in CONFIGURATION.items()},
    **{f"data: {name}": case for name, case in DATA.items()},
    **{f"disk: {name}": case for name, case in DISK.items()},
    **{f"environment: {name}": case for name, case in ENVIRONMENT.items()},
}
