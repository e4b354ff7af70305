"""fidelity.json of a study: whether the set of the study that it began with predicts its own."""

from search.fidelity import compare, curves_of
from search.prior import Tried, read_prior
from search.study import Study
from train_fn.storage import write_json

FILE = "fidelity.json"


def write_fidelity(study: Study) -> list[str]:
    """Write fidelity.json of a study with a prior, from its record as it is; returns its line for the terminal.

    Nothing is written, and no line returned, without a prior or before one of its points has been tried. Raises
    InputError.
    """
    prior = read_prior(study)
    if prior is None:
        return []
    dataset = study.config().dataset.name
    names = (prior.dataset, dataset) if prior.dataset != dataset else (prior.study, study.name)
    own = [Tried.of(record) for record in study.records()]
    found = compare(curves_of(prior.trials), curves_of(own), names)
    if found is None:
        return []
    write_json(study.folder / FILE, {"prior": prior.study, **found.model_dump(mode="json")})
    return [f"fidelity {found.sentence}"]
