"""Whether the set that a study was begun from predicts its own: from two recorded studies to the report."""

from pathlib import Path

from recorded import config_on, ended, make_study

from search.fidelity_file import write_fidelity
from search.prior import keep_prior, prior_of
from search.report_page import write_report
from search.space import Point
from search.study import Study
from train_fn.storage import Paths, read_json


def begin(tmp_path: Path, dataset: str = "100k") -> tuple[Study, Paths, list[Point]]:
    """A study begun from one on 10k, and the points that both try in the order of the first."""
    paths = Paths.of(tmp_path / "output")
    small = [ended(0, 0.9), *(ended(n, 0.1 * n, point=(n / 1e4, 8, 16.0)) for n in range(1, 8))]
    make_study(paths.studies / "small", small, config_on("10k"))
    config = config_on(dataset, prior="small")
    study = make_study(paths.studies / "new", [], config)
    prior = prior_of(study, config, paths)
    assert prior
    keep_prior(study, prior)
    return study, paths, [small[0].params, *prior.enqueued]


def test_a_report_of_a_study_with_a_prior_says_whether_it_predicts_and_again_when_it_has_grown(
    tmp_path: Path,
) -> None:
    study, paths, points = begin(tmp_path)
    file = study.folder / "fidelity.json"
    assert write_fidelity(study) == []
    assert not file.exists()
    records = [
        ended(n, 0.5 if n == 0 else 0.1 + 0.01 * n, point=(at.learning_rate, at.lora_rank, at.lora_alpha))
        for n, at in enumerate(points)
    ]
    for record in records[:4]:
        study.end(record)
    (line,) = (line for line in write_report(study, paths) if line.startswith("fidelity"))
    assert line.startswith(
        "fidelity too few shared configurations to tell whether 10k predicts 100k: tau 1.00, "
    )
    for record in (*records[4:], ended(6, 0.01, point=(9e-4, 4, 8.0)), ended(7, None, "FAILED", came=0)):
        study.end(record)
    (line,) = (line for line in write_report(study, paths) if line.startswith("fidelity"))
    assert line.startswith("fidelity 10k predicts 100k here: tau 1.00 (90 % interval")
    told = read_json(file)
    assert (told["prior"], told["shared"], told["verdict"], told["regret"]) == ("small", 6, "PREDICTS", 0)
    assert line == f"fidelity {told['sentence']}"
    page = (study.folder / "report.html").read_text()
    assert "Does the small set predict this one" in page
    assert told["sentence"] in page
    assert "small: 8 trials on 10k, the best 5 tried first" in page


def test_two_studies_of_one_set_are_told_apart_by_their_names(tmp_path: Path) -> None:
    study, _, _ = begin(tmp_path, dataset="10k")
    study.end(ended(0, 0.5))
    assert "whether small predicts new: no tau" in write_fidelity(study)[0]


def test_a_study_without_a_prior_has_no_fidelity(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s", [ended(0, 0.4), ended(1, 0.3)])
    assert not [line for line in write_report(study, Paths.of(tmp_path)) if "fidelity" in line]
    assert not (study.folder / "fidelity.json").exists()
