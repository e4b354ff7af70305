"""The learning rate of a full run: moved over the horizon, and probed first where it would move far.

learning_rate.json in the run's folder keeps what the studies said at the start, then what was taken and why.
"""

from typing import TYPE_CHECKING

from search.choice import Candidate
from search.horizon import LIMIT, Horizon
from search.rung_runs import RungRuns
from search.rungs import Plan, climb
from train_fn.storage import read_json, write_json

if TYPE_CHECKING:
    from train_fn.run_folder import RunFolder

RATE = "learning_rate.json"


def kept(run: "RunFolder", fresh: Horizon) -> Horizon:
    """What the studies said when the run began; trials that they got since change nothing."""
    file = run.folder / RATE
    if not file.exists():
        write_json(file, {"horizon": fresh.model_dump()})
    return Horizon.model_validate(read_json(file)["horizon"])


def move(chosen: Candidate, horizon: Horizon, runs: RungRuns, plan: Plan) -> Candidate:
    """The candidate at the learning rate for the full run. Raises InputError when a probe has no end."""
    moved = horizon.move(chosen.params.learning_rate)
    taken, probed, how = moved.proposed, [], "it is taken"
    if horizon.far and plan.probe:
        size = plan.probe.size
        meant = {chosen.at(there): here for there, here in horizon.probe(moved.copied, size.steps)}
        ((best, _), *_), *_ = climb([plan.probe], list(meant), runs.loss)
        probed = [
            {**runs.facts(each, size.fraction), "full_run_learning_rate": rate}
            for each, rate in meant.items()
        ]
        taken = meant[best]
        how = (
            f"so far needs a probe: of {len(meant)} rates {size.told} {best.params.learning_rate:.2e} was the "
            f"best, which stands for {taken:.2e} in the full run"
        )
    elif horizon.far:
        taken = moved.held
        how = (
            f"more than {LIMIT:g} times needs a probe, and none that fits max_extra_cost and differs in length "
            f"from the search would tell: held at {taken:.2e}"
        )
    sentence = f"{horizon.sentence(moved)}; {how}"
    found = {**moved.model_dump(), "probe": probed, "taken": taken, "sentence": sentence}
    write_json(runs.run.folder / RATE, {"horizon": horizon.model_dump(), **found})
    runs.say(f"rate     {sentence}")
    return chosen.at(taken)
