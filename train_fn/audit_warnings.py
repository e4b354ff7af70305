"""What an audit warns of, in plain sentences."""

from collections.abc import Iterator

from train_fn.audit_facts import LEAK_SHARE, MANY_COPIES, NEARLY_SOLVED, SOLVED, AuditFacts, Conflicts


def warnings(facts: AuditFacts) -> list[str]:
    """What should be mended or known before a result is believed; empty for clean data."""
    return [
        *leak_warnings(facts),
        *_other_warnings(facts),
        *_conflict_warnings(facts),
        *_shortcut_warnings(facts),
    ]


def leak_warnings(facts: AuditFacts) -> Iterator[str]:
    """What makes a score on these splits too good."""
    for name in ("validation", "test"):
        share = facts.splits[name].leaking("group")
        if share > LEAK_SHARE:
            by_label = " and ".join(
                f"{percent(count / max(facts.splits[name].classes[label], 1))} of {label}"
                for label, count in (facts.splits[name].twins["group"].in_train or {}).items()
            )
            yield (
                f"{percent(share)} of the {name} rows ({by_label}) have a relative in train, so a score there is "
                "too good; --set splits=grouped keeps relatives together"
            )


def _other_warnings(facts: AuditFacts) -> Iterator[str]:
    if facts.leakage and facts.leakage.refused:
        yield f"grouped splits are not to be had: {facts.leakage.refused}"
    train = facts.splits["train"]
    copies = train.twins["exact"].inside / train.rows
    if copies > MANY_COPIES:
        yield f"{percent(copies)} of the train rows are exact copies of one another, and weigh that much more"


def _conflict_warnings(facts: AuditFacts) -> Iterator[str]:
    exact, normal = facts.conflicts["exact"], facts.conflicts["normal"]
    if exact.texts:
        yield f"{_count(exact)} under both labels: {'; '.join(exact.first)}. One label is wrong"
    if normal.texts > exact.texts:
        yield (
            f"{_count(normal)} under both labels once surface attacks are undone: {'; '.join(normal.first)}. "
            "No reader of words can tell them apart"
        )


def _count(found: Conflicts) -> str:
    return f"{found.texts:,} {'text stands' if found.texts == 1 else 'texts stand'} ({found.rows:,} rows)"


def _shortcut_warnings(facts: AuditFacts) -> Iterator[str]:
    if facts.shortcuts is None:
        return
    for name, shortcut in facts.shortcuts.domains.items():
        ways = {"length": shortcut.length, "first 40 characters": shortcut.opening}
        solved = [f"{way} (AUROC {value:.2f})" for way, value in ways.items() if value and value >= SOLVED]
        where = f"domain {ascii_only(name)}:"
        if solved:
            yield f"{where} the classes can be told without reading, by {' and by '.join(solved)}"
        elif shortcut.words is not None and shortcut.words >= NEARLY_SOLVED:
            yield f"{where} words alone nearly tell the classes (TF-IDF, AUROC {shortcut.words:.3f})"


def percent(share: float) -> str:
    """Whole percent; a share that is not quite nothing or all is not shown as such."""
    percent = 100 * share
    if 0 < percent < 1 or 99 < percent < 100:
        return (
            f"{percent:.2f} %" if 0.01 <= percent <= 99.99 else ("< 0.01 %" if percent < 1 else "> 99.99 %")
        )
    return f"{percent:.0f} %"


def ascii_only(text: str) -> str:
    """The text with every other character escaped."""
    return text.encode("ascii", "backslashreplace").decode("ascii")
