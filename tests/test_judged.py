"""A run's evaluation, from planted predictions on disk to its files and lines, against pandas and scikit-learn."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planted_scores import AI, HUMAN, about, plant, read, texts
from sklearn.metrics import roc_auc_score

from train_fn.errors import InputError
from train_fn.intervals import exact
from train_fn.judged import EVALUATION, Evaluation, evaluate, judge, judged_lines
from train_fn.scored import Names, Scored, read_scored
from train_fn.storage import read_json, write_json
from train_fn.thresholds import TARGETS, THRESHOLDS

GROUP = 4  # related test texts


class Grouped:
    """Groups of neighbouring rows, by place."""

    group = np.arange(12_000) // GROUP


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on 3,000 validation and 3,000 test texts, judged."""
    folder = tmp_path_factory.mktemp("run")
    data: Any = plant(folder, texts(3000, 0), texts(3000, 1))
    write_json(folder / "metrics.json", {"tfidf_balanced_accuracy": 0.8125})
    groups: Any = Grouped()
    judge(folder, data, groups)
    return folder


@pytest.fixture(scope="module")
def found(run: Path) -> Evaluation:
    return Evaluation(**read_json(run / EVALUATION))


@pytest.fixture(scope="module")
def rows(run: Path) -> pd.DataFrame:
    return pq.read_table(run / "predictions.parquet").to_pandas()


def scored(margin: list[float], labels: list[int], domain: list[str | None]) -> Scored:
    names = sorted({name for name in domain if name})
    codes = np.array([names.index(name) if name else -1 for name in domain])
    models = Names(["gpt4", "human"], np.array(labels))
    return Scored(np.arange(len(labels)), np.array(margin), np.array(labels), Names(names, codes), models)


def lines_of(result: Evaluation, folder: Path) -> list[str]:
    write_json(folder / EVALUATION, result.model_dump(mode="json", by_alias=True))
    return judged_lines(folder)


def test_margins_come_back_exactly_also_where_the_probability_is_one(tmp_path: Path) -> None:
    margin = np.array([50, 60, 0.1, -0.1, -90], dtype=np.float32)
    part = {
        "margin": margin,
        "labels": np.array([AI, AI, HUMAN, AI, HUMAN]),
        "about": about(["wiki", None, "news", "wiki", None], ["gpt4", "gpt4", "human", None, "human"]),
    }
    plant(tmp_path, part, part)
    validation, test = read(tmp_path)
    for read_back in (validation, test):
        assert (read_back.margin == margin).all()
        assert read_back.labels.tolist() == part["labels"].tolist()
        assert read_back.domain.names == ["news", "wiki"]
        assert read_back.domain.codes.tolist() == [1, -1, 0, 1, -1]
        assert read_back.model.rows("gpt4").tolist() == [True, True, False, False, False]
        assert not read_back.domain.rows("code").any()
    probability = pq.read_table(tmp_path / "predictions.parquet")["probability_ai"].to_numpy()
    assert probability[0] == probability[1] == 1.0


def test_a_set_without_domains_and_generators_is_judged_as_a_whole(tmp_path: Path) -> None:
    part = {**texts(300, 0), "about": about([None] * 300, [None] * 300)}
    plant(tmp_path, part, part)
    validation, test = read(tmp_path)
    result = evaluate(validation, test, np.arange(300), None)
    assert result.thresholds.domains == {}
    operation = result.operation["fpr_5"]
    assert operation.global_threshold.tpr.rows + operation.global_threshold.fpr.rows == 300
    assert operation.global_threshold.generators == operation.own_threshold_by_domain == {}
    assert operation.own_threshold.why == "no threshold for texts of no domain"


def test_predictions_of_an_earlier_version_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"split": ["test"], "row": [0]}), tmp_path / "predictions.parquet")
    with pytest.raises(InputError, match=r"lacks domain, model, label, margin.*--replace"):
        read_scored(tmp_path / "predictions.parquet", "test")


def test_thresholds_json_is_what_the_predicting_command_expects(run: Path, rows: pd.DataFrame) -> None:
    written = read_json(run / THRESHOLDS)
    assert list(written) == ["version", "score", "rule", "temperature", "global", "domains"]
    assert written["version"] == 1
    assert written["score"] == "AI logit less human logit"
    assert written["rule"] == "AI_Generated when the score is at least the threshold"
    assert list(written["domains"]) == ["books", "news", "wiki"]
    human = rows[(rows["split"] == "validation") & (rows["label"] == "Human_Written")]
    parts = {None: human, **dict(list(human.groupby("domain")))}
    for name, points in {None: written["global"], **written["domains"]}.items():
        assert list(points) == list(TARGETS)
        for key, point in points.items():
            assert list(point) == ["margin", "probability", "human_texts", "false_positives", "why"]
            called = (parts[name]["margin"] >= point["margin"]).sum()
            assert called == point["false_positives"] == TARGETS[key] * len(parts[name]) // 100
            assert point["human_texts"] == len(parts[name])
            calibrated = 1 / (1 + np.exp(-point["margin"] / written["temperature"]))
            assert point["probability"] == pytest.approx(calibrated)


def test_every_rate_is_that_of_the_rows_counted_one_by_one(found: Evaluation, rows: pd.DataFrame) -> None:
    test = rows[rows["split"] == "test"]
    for key, operation in found.operation.items():
        whole = found.thresholds.everywhere[key].margin
        own = {name: points[key].margin for name, points in found.thresholds.domains.items()}
        limit = test["domain"].map(own)
        for rates, part, called in (
            (operation.global_threshold, test, test["margin"] >= whole),
            (operation.own_threshold, test, test["margin"] >= limit),
            *(
                (rates[name], part, test["margin"].loc[part.index] >= at)
                for name, part in test.groupby("domain")
                for rates, at in (
                    (operation.global_threshold_by_domain, whole),
                    (operation.own_threshold_by_domain, own[name]),
                )
            ),
        ):
            counts = called.groupby(part["label"]).agg(["sum", "size"])
            for label, share in (("AI_Generated", rates.tpr), ("Human_Written", rates.fpr)):
                assert (share.hits, share.rows) == tuple(counts.loc[label])
                assert share.value == share.hits / share.rows
                assert share.interval == exact(share.hits, share.rows)
            models = called.groupby(part["model"]).agg(["sum", "size"]).drop("human")
            told = {name: (share.hits, share.rows) for name, share in rates.generators.items()}
            assert told == {name: tuple(row) for name, row in models.iterrows()}


def test_figures_and_their_intervals_are_those_of_the_test_rows(
    found: Evaluation, rows: pd.DataFrame
) -> None:
    test = rows[rows["split"] == "test"]
    ai = test["label"] == "AI_Generated"
    assert found.metrics.auroc == pytest.approx(roc_auc_score(ai, test["margin"]))
    assert found.metrics.rows == 3000
    assert found.groups == 3000 / GROUP
    assert found.tfidf_balanced_accuracy == 0.8125
    values = {
        "auroc": found.metrics.auroc,
        "balanced_accuracy": found.metrics.balanced_accuracy,
        "recall_ai": found.metrics.recall_ai,
        "recall_human": found.metrics.recall_human,
        "log_loss": found.metrics.log_loss,
        "ece": found.metrics.ece,
        "brier": found.calibration["before"].brier,
        **{f"tpr_at_{key}": found.operation[key].global_threshold.tpr.value for key in TARGETS},
        **{f"fpr_at_{key}": found.operation[key].global_threshold.fpr.value for key in TARGETS},
    }
    assert found.intervals.keys() == values.keys()
    for name, interval in found.intervals.items():
        assert interval.low < values[name] < interval.high, name
    assert found.calibration["before"].log_loss == pytest.approx(found.metrics.log_loss)


def test_copies_of_a_text_in_one_group_make_its_figures_no_surer(tmp_path: Path) -> None:
    once = texts(200, 1)
    nine = {name: np.repeat(once[name], 9) for name in ("margin", "labels")}
    plant(tmp_path, texts(200, 0), {**nine, "about": once["about"].take(np.repeat(np.arange(200), 9))})
    validation, test = read(tmp_path)
    grouped = evaluate(validation, test, np.repeat(np.arange(200), 9), None).intervals
    loose = evaluate(validation, test, np.arange(1800), None).intervals
    for name, wide in grouped.items():
        assert wide.high - wide.low > 2 * (loose[name].high - loose[name].low), name


def test_the_groups_are_those_of_the_places_of_the_scored_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are left out of the scores have places too."""
    from train_fn import judged

    data: Any = plant(
        tmp_path, texts(40, 0), {**texts(40, 1), "rows": np.arange(1, 80, 2), "about": texts(80, 2)["about"]}
    )
    write_json(tmp_path / "metrics.json", {})
    groups: Any = Grouped()
    given: list[np.ndarray] = []

    def seen(validation: Scored, test: Scored, group: np.ndarray, tfidf: float | None) -> Evaluation:
        given.append(group)
        return evaluate(validation, test, group, tfidf)

    monkeypatch.setattr(judged, "evaluate", seen)
    judge(tmp_path, data, groups)
    assert given[0].tolist() == [(160 + row) // GROUP for row in range(1, 80, 2)]


def test_the_temperature_of_validation_mends_test(found: Evaluation) -> None:
    before, after = found.calibration["before"], found.calibration["after"]
    assert found.temperature.value > 2
    assert after.ece < before.ece / 2
    assert after.log_loss < before.log_loss


def test_what_few_texts_cannot_carry_is_refused_and_the_rest_is_judged(tmp_path: Path) -> None:
    """News has 25 human validation texts, code none; three test texts have no domain."""
    margin = [*np.linspace(-9, 0, 25), *np.linspace(-20, -10, 100), *np.linspace(-1, 30, 75)]
    validation = scored(margin, [HUMAN] * 125 + [AI] * 75, ["news"] * 25 + ["wiki"] * 100 + ["wiki"] * 75)
    test = scored(
        [-0.5, -15, 5, -0.4, 0, 20, 5, -30],
        [HUMAN, HUMAN, AI, AI, AI, AI, AI, HUMAN],
        ["news", "wiki", "wiki", "news", "news", "code", None, None],
    )
    result = evaluate(validation, test, np.arange(8), None)
    assert result.thresholds.domains["news"]["fpr_1"].margin is None
    low, high = result.operation["fpr_5"], result.operation["fpr_1"]
    assert (
        high.own_threshold_by_domain["news"].why
        == "FPR 1 % needs 100 human validation texts, but there are 25"
    )
    assert high.own_threshold_by_domain["news"].tpr is None
    assert (
        low.own_threshold_by_domain["code"].why == "FPR 5 % needs 20 human validation texts, but there are 0"
    )
    assert low.own_threshold_by_domain["news"].tpr.hits == 1  # the text at its threshold, 0
    assert low.global_threshold_by_domain["news"].tpr.hits == 2  # at the sixth highest of all
    assert low.global_threshold_by_domain["code"].fpr.value is None
    assert low.own_threshold.tpr is None
    assert low.own_threshold.why == "no threshold for code, texts of no domain"
    lines = lines_of(result, tmp_path)
    assert "test       by domain, at its own: TPR 0.500 (news) to 1.000 (wiki); none for 1 of 3" in lines
    assert "test       by domain, at its own: TPR 1.000 (wiki) to 1.000 (wiki); none for 2 of 3" in lines


def test_nothing_is_claimed_where_no_text_may_be_called(tmp_path: Path) -> None:
    few = scored([-2, -1, 1, 2], [HUMAN, HUMAN, AI, AI], ["wiki"] * 4)
    result = evaluate(few, few, np.arange(4), None)
    for operation in result.operation.values():
        assert "human validation texts, but there are 2" in operation.global_threshold.why
        assert operation.own_threshold.why == "no threshold for wiki"
        assert operation.own_threshold.tpr is operation.global_threshold.tpr is None
    assert "tpr_at_fpr_5" not in result.intervals
    assert result.intervals["auroc"] == exact(2, 2)  # a perfect order of two pairs shows little
    lines = lines_of(result, tmp_path)
    assert "test     FPR 5 % needs 20 human validation texts, but there are 2" in lines
    assert "test     temperature 1.000: no validation text is misclassified" in lines


def test_the_lines_fit_a_terminal_and_hold_the_figures(run: Path, found: Evaluation) -> None:
    lines = judged_lines(run)
    assert len(lines) <= 8
    assert max(map(len, lines)) <= 80
    tpr = found.operation["fpr_5"].global_threshold.tpr
    told = f"FPR 5 %: TPR {tpr.value:.3f} [{tpr.interval.low:.3f}, {tpr.interval.high:.3f}], achieved FPR 0."
    assert told in "\n".join(lines)
    assert "by domain" in "\n".join(lines)


def test_evaluation_json_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its presence says that both are there."""
    from train_fn import judged

    data: Any = plant(tmp_path, texts(200, 0), texts(200, 1))
    write_json(tmp_path / "metrics.json", {})
    groups: Any = Grouped()

    def killed(path: Path, value: Any) -> None:
        if path.name == EVALUATION:
            raise KeyboardInterrupt
        write_json(path, value)

    monkeypatch.setattr(judged, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        judge(tmp_path, data, groups)
    assert (tmp_path / THRESHOLDS).exists()
    assert not (tmp_path / EVALUATION).exists()


@pytest.mark.slow
def test_as_many_texts_as_a_run_on_2m_leaves_are_judged_within_a_minute(tmp_path: Path) -> None:
    half = 171_256
    domains = ["abstracts", "books", "code", "news", "poetry", "recipes", "reddit", "reviews", "wiki"]
    data: Any = plant(tmp_path, texts(half, 0, domains), texts(half, 1, domains))
    write_json(tmp_path / "metrics.json", {})

    class Many:
        group = np.arange(2 * half) // GROUP

    groups: Any = Many()
    started = time.process_time()  # 9 s; the wall time depends on what else runs
    judge(tmp_path, data, groups)
    assert time.process_time() - started < 60
