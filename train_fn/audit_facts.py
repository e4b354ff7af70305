"""What an audit finds, as it stands in audit-<key>.json. Rows are counted; shares are from 0 to 1."""

from typing import Literal

from train_fn.config import Splits
from train_fn.groups import GroupFacts
from train_fn.values import Frozen

Kind = Literal["exact", "normal", "group"]
KINDS: tuple[Kind, ...] = ("exact", "normal", "group")
# A larger share of leaking rows can move balanced accuracy by more than half a point.
LEAK_SHARE = 0.005
SOLVED, NEARLY_SOLVED = 0.9, 0.99  # AUROC without reading; by words alone
MANY_COPIES = 0.1


class Spread(Frozen):
    """Mean, median and 95th percentile over rows."""

    mean: float
    median: float
    high: float


class Twins(Frozen):
    """Rows of a split that share a text, or a group, with another row.

    `inside`: with another row of the same split. `in_train`: of validation or test with a train row, by label;
    None for train itself.
    """

    inside: int
    in_train: dict[str, int] | None


class SplitFacts(Frozen):
    """One split: rows by label and by domain, and its twins by kind.

    exact: equal to the letter; normal: equal once RAID's surface attacks are undone; group: anything that
    relates two rows, these two included.
    """

    rows: int
    classes: dict[str, int]
    domains: dict[str, int]
    twins: dict[Kind, Twins]

    def leaking(self, kind: Kind) -> float:
        """The share of rows with a relative of that kind in train; 0 for train."""
        return sum((self.twins[kind].in_train or {}).values()) / self.rows


class DomainFacts(Frozen):
    """One domain over all splits: characters and tokens of a text, and the share cut at max_length."""

    rows: int
    characters: Spread
    tokens: Spread
    cut: float


class Conflicts(Frozen):
    """Texts that stand under both labels: how many, in how many rows, and the first ones' places."""

    texts: int
    rows: int
    first: tuple[str, ...]


class ClassWeights(Frozen):
    """Weights of the train split in the order of LABELS: by the formula, and the published table's."""

    formula: tuple[float, float]
    published: tuple[float, float] | None


class Shortcut(Frozen):
    """AUROC on test rows of what was fitted on train rows; None where there were too few rows of a class.

    length: characters and words; opening: the first 40 characters; words: TF-IDF.
    """

    length: float | None
    opening: float | None
    words: float | None


class Shortcuts(Frozen):
    """How far the classes come apart without understanding, on a sample of the rows.

    Measured on grouped `splits` where there are any: with a relative in train, an opening is known by heart.
    """

    splits: Splits
    train_rows: int
    test_rows: int
    overall: Shortcut
    domains: dict[str, Shortcut]


class Accuracy(Frozen):
    """A balanced accuracy, 0 to 1, and its standard error."""

    value: float
    error: float


class Leakage(Frozen):
    """TF-IDF on the test rows of both kinds of splits of the same `rows` rows.

    None where it could not be measured; `refused` says why there are no grouped splits.
    """

    rows: int
    published: Accuracy | None
    grouped: Accuracy | None
    refused: str | None


class AuditFacts(Frozen):
    """A data set, judged. `shortcuts` and `leakage` are None in the short form."""

    key: str
    dataset: str
    source: str
    revision: str | None
    splits_kind: Splits
    split_seed: int
    max_length: int
    splits: dict[str, SplitFacts]
    domains: dict[str, DomainFacts]
    groups: GroupFacts
    groups_across: int
    rows_across: int
    conflicts: dict[Literal["exact", "normal"], Conflicts]
    weights: ClassWeights
    shortcuts: Shortcuts | None
    leakage: Leakage | None

    @property
    def leaks(self) -> bool:
        """Whether relatives of train rows are enough to move a score."""
        return any(self.splits[name].leaking("group") > LEAK_SHARE for name in ("validation", "test"))
