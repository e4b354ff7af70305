"""How many trials a search has whose time is limited and whose number is not given."""

from collections.abc import Callable

from search.forecast import Forecast, trials_that_fit
from search.record import StudyConfig
from search.study import Study
from search.wording import clock


def chosen_before(study: Study, config: StudyConfig) -> tuple[StudyConfig, bool]:
    """With the number of trials that was chosen for this time budget before; and whether one is to be chosen."""
    budget = config.search.time_budget
    if budget is None:
        return config, False
    if (study.folder / "config.yaml").exists() and (there := study.config().search).time_budget == budget:
        return _with_trials(config, there.trials), False
    return config, True


def choose_trials(
    study: Study,
    config: StudyConfig,
    forecast_of: Callable[[StudyConfig], Forecast],
    say: Callable[[str], None],
) -> StudyConfig:
    """As many trials as fit into the time budget in 95 % of cases: what would be cut off is the confirmation,
    which comes last. At least one, and those that were begun."""
    budget = config.search.time_budget or 0.0
    least = max(1, len(study.asked()))
    trials = trials_that_fit(budget, least, lambda trials: forecast_of(_with_trials(config, trials)).high)
    chosen = _with_trials(config, trials)
    if (seconds := forecast_of(chosen).high) <= budget:
        say(
            f"trials   {trials}: as many as fit into {clock(budget)} in 95 % of cases, with their confirmation"
        )
    else:
        say(
            f"trials   {trials}, though that may take {clock(seconds)} and the time budget is {clock(budget)}; "
            "the search stops when it is used up, and the same command goes on"
        )
    return chosen


def _with_trials(config: StudyConfig, trials: int) -> StudyConfig:
    return config.model_copy(update={"search": config.search.model_copy(update={"trials": trials})})
