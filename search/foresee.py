"""Before anything long: say how long it will take, choose the trials that fit into a time budget, and ask."""

import math
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from search.budget import choose_trials, chosen_before
from search.config import ForecastMode
from search.confirm import Confirmation
from search.forecast import Forecast, Left, forecast_promotion, forecast_search
from search.foreseen import Foresee, Foreseen
from search.placement import Placed
from search.probing import ProbeError, find_measured
from search.promotion import PromoteConfig
from search.record import StudyConfig
from search.rungs import Plan
from search.space import exponents
from search.study import Study
from search.wording import ascii_line
from train_fn.config import TrainConfig
from train_fn.errors import InputError
from train_fn.measured import Measured
from train_fn.voice import done

if TYPE_CHECKING:
    from train_fn.inputs import Inputs
    from train_fn.run_folder import RunFolder

Say = Callable[[str], None]
DAY = 24 * 3600.0
# `auto` makes no forecast where even at this speed, of one CPU core, all is done within minutes: 6 operations a
# parameter and token (Kaplan et al. 2020, section 2.1), 2 bytes a parameter.
SLOW_OPERATIONS, SHORT_SECONDS = 1e11, 600.0


@dataclass(frozen=True)
class Request:
    """What a command line asks of the forecast; `choose`: a time budget sets the number of trials."""

    dry_run: bool = False
    price_per_hour: float | None = None
    choose: bool = False

    def __post_init__(self) -> None:
        price = self.price_per_hour
        if price is not None and not (math.isfinite(price) and price >= 0):
            raise InputError(f"--price-per-hour must be 0 or more, for example 2.5, but got {price:g}")

    def wants(self, mode: ForecastMode, *, long: bool) -> bool:
        """Whether to measure; `long` says that it is worth it."""
        asked = self.dry_run or self.price_per_hour is not None
        return asked or mode == "always" or (mode == "auto" and long)


def foresight(request: Request, say: Say) -> Foresee:
    """What search.runner.run_search asks before it starts anything.

    Ends the command (typer.Exit) after a dry run and after a no. Raises InputError when a dry run fails.
    """
    return lambda study, config, inputs: _search(request, say, study, config, inputs)


def _search(
    request: Request, say: Say, study: Study, config: StudyConfig, inputs: "Inputs"
) -> tuple[StudyConfig, Foreseen]:
    if study.folder.exists():
        with study.locked():  # a probe would slow down a search at work, or drive it out of memory
            pass
    config, choose = chosen_before(study, config) if request.choose else (config, False)
    if config.search.address:
        return config, _elsewhere(request, _scope(config))
    left = _left(study, config)
    if not (left.runs(config.search) or choose):
        return config, _nothing_left(request, _scope(config), f"study {study.name}")
    long = choose or _long(inputs, config.train, left.runs(config.search))
    if not request.wants(config.search.forecast, long=long):
        return config, Foreseen(scope=_scope(config))
    placed = Placed.trials(config.search)
    if (found := _measured(request, inputs, _typical(config), placed, say)) is None:
        return config, Foreseen(scope=_scope(config))
    from train_fn.workload import count_work

    work = count_work(inputs.data, found.resolve(config.train), "trial")

    def forecast_of(config: StudyConfig) -> Forecast:
        left = _left(study, config)
        return forecast_search(found, work, config.search, left, placed.slots, placed.accelerators)

    if choose:
        config = choose_trials(study, config, forecast_of, say)
    return config, _tell(request, forecast_of(config), _scope(config), say)


def _scope(config: StudyConfig) -> dict[str, Any]:
    """What a forecast of the search is one of."""
    scope = config.search.model_dump(include={"trials", "confirm_seeds", "address"})
    return {**scope, "time_budget_seconds": config.search.time_budget}


def foresee_promotion(
    request: Request,
    inputs: "Inputs",
    config: TrainConfig,
    promotion: PromoteConfig,
    run: "RunFolder",
    say: Say,
    plan: Plan,
    *,
    goes_on: bool,
) -> Foreseen:
    """Foresee what is left of a full run whose lock is held, and of the runs of `plan` that come before it.
    `goes_on` says whether what stands in its folder is this run.

    Ends the command and raises as `foresight` does.
    """
    from train_fn.workload import count_work

    scope = promotion.model_dump(include={"workers", "address"})
    if run.finished and goes_on:
        return _nothing_left(request, scope, f"the run in {run.folder}")
    if promotion.address:
        return _elsewhere(request, scope)
    if not request.wants(promotion.forecast, long=_long(inputs, config, 1)):
        return Foreseen(scope=scope)
    placed = Placed.ranks(promotion)
    if (found := _measured(request, inputs, config, placed, say)) is None:
        return Foreseen(scope=scope)
    work = count_work(inputs.data, found.resolve(config), "full", ranks=promotion.workers)
    steps = [int(path.name.split("-")[1]) for path in (run.folder / "checkpoints").glob("step-*")]
    done = max(steps, default=0) / work.steps if goes_on else 0.0
    forecast = forecast_promotion(found, work, done, placed.accelerators, plan)
    return _tell(request, forecast, scope, say)


def _typical(config: StudyConfig) -> TrainConfig:
    """What a trial trains in the mean: all ranks of the space alike often, and a higher one takes longer."""
    first, last = exponents(config.search.space.lora_rank)
    mean = statistics.fmean(2**rank for rank in range(first, last + 1))
    return config.train.model_copy(update={"lora_rank": 2 ** round(math.log2(mean))})


def _left(study: Study, config: StudyConfig) -> Left:
    records = study.records()
    confirmation = Confirmation.of(config, records, study.reruns())
    if len(records) < config.search.trials:
        confirmed = bool(confirmation.runs) and not confirmation.missing
        return Left(config.search.trials, len(records), confirmed=confirmed)
    return Left(len(records), len(records), len(confirmation.missing))


def _long(inputs: "Inputs", config: TrainConfig, runs: int) -> bool:
    from train_fn.tokenized import open_set

    train = open_set(inputs.data).meta.splits["train"]
    tokens = train.tokens * min(1.0, (config.max_rows or train.rows) / train.rows) * config.epochs * runs
    size = sum(file.stat().st_size for file in Path(inputs.model).glob("*.safetensors"))
    return not size or 6 * size / 2 * tokens / SLOW_OPERATIONS > SHORT_SECONDS


def _measured(
    request: Request, inputs: "Inputs", config: TrainConfig, placed: Placed, say: Say
) -> Measured | None:
    """None, with a warning, where the probe fails: that is no reason to stop a run."""
    try:
        return find_measured(inputs.data, inputs.model, config, placed.place, say)
    except (ProbeError, OSError) as error:
        if request.dry_run:
            raise InputError(
                f"--dry-run must be able to measure this machine, but its probe failed: {error}; without "
                "--dry-run the command goes on without a forecast"
            ) from error
        say(f"warning  no forecast, for its probe failed: {ascii_line(str(error))}")
        return None


def _elsewhere(request: Request, scope: Mapping[str, Any]) -> Foreseen:
    """A probe measures this machine, and those of a cluster may be others."""
    if request.dry_run or request.price_per_hour is not None:
        raise InputError(
            "--dry-run and --price-per-hour measure the machine that they run on, so --address must not be given "
            "with them; ask without it, on a machine such as those of the cluster"
        )
    return Foreseen(scope=scope)


def _nothing_left(request: Request, scope: Mapping[str, Any], what: str) -> Foreseen:
    if request.dry_run:
        done({"forecast": None}, f"dry run  nothing is left to run: {what} is finished")
        raise typer.Exit
    return Foreseen(scope=scope)


def _tell(request: Request, forecast: Forecast, scope: Mapping[str, Any], say: Say) -> Foreseen:
    forecast = forecast.model_copy(update={"price_per_hour": request.price_per_hour})
    if request.dry_run:
        ended = "dry run  nothing was started; the same command without --dry-run does it"
        done({"forecast": {**scope, **forecast.record()}}, *forecast.lines(), ended)
        raise typer.Exit
    for line in forecast.lines():
        say(line)
    if forecast.seconds > DAY:
        say(
            "warning  this takes more than a day; it may be stopped at any time, and the same command goes on"
        )
        if not forecast.accelerators and sys.stdin.isatty() and not typer.confirm("begin?"):
            raise typer.Exit(1)
    return Foreseen(forecast.record(), scope)
