"""Three searchers replayed on a world of known losses: ours, random search, and the plain recipe of Ray's
guide.

No Ray runs: the searchers and schedulers are the real classes, fed by hand as Tune feeds them, in one slot.
Time is virtual: a trial costs the share of its run that was made. All see the same, what a run reports; none
sees the truth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from peers import Best, Choice, PlainRecipe, RandomSearch, World, regret
from quality_figures import BUDGETS, OURS, PLAIN, RANDOM, TRIALS, UNCONFIRMED, Scores
from ray.tune.schedulers import TrialScheduler

from search.config import SearchConfig
from search.confirm import DEFAULT, plan
from search.draw import draw
from search.record import Asked, TrialRecord, best_of, now, record_of
from search.scheduler import METRIC, TIME, Asha
from search.space import Point
from search.verdict import judge


@dataclass
class Ours:
    """The draw, the stopping rule, the record and the confirmation of this project; trial 0 is the default."""

    world: World
    search: SearchConfig
    default: Point
    seed: int
    cost: float = 0.0
    records: list[TrialRecord] = field(default_factory=list)
    reruns: dict[tuple[int, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.scheduler = Asha(self.search, [])

    def step(self) -> None:
        """Make the next trial."""
        number = len(self.records)
        point = draw(self.search, self.seed, number, self.records, []) if number else self.default
        assert point is not None, "the space is used up"
        trial: Any = SimpleNamespace(trial_id=str(number), config={})
        self.scheduler.on_trial_add(None, trial)
        rows, status = [], "COMPLETE"
        for percent, loss in self.world.curve(point, self.seed):
            rows.append({TIME: percent, METRIC: loss})
            if self.scheduler.on_trial_result(None, trial, rows[-1]) == TrialScheduler.STOP:
                status = "PRUNED"
                break
        asked = Asked(trial_id=trial.trial_id, number=number, params=point, asked=now())
        self.records.append(record_of(asked, rows, status))
        self.cost += rows[-1][TIME] / 100

    def choice(self) -> Choice:
        """The best complete trial, unconfirmed."""
        best = best_of(self.records)
        return Choice(best.params if best else self.default, self.cost)

    def confirmed(self) -> Choice:
        """The winner of the confirmation, whose runs count."""
        runs = plan(self.records, self.search, self.seed)
        if not runs:
            return self.choice()
        for number, seed in runs:
            if (number, seed) not in self.reruns:
                self.reruns[number, seed] = self.world.curve(self.records[number].params, seed)[-1][1]
        numbers, seeds = (sorted(set(values)) for values in zip(*runs, strict=True))
        losses = np.array([[self.reruns[number, seed] for seed in seeds] for number in numbers])
        winner = numbers[judge(losses, numbers.index(DEFAULT), [str(n) for n in numbers]).winner]
        return Choice(self.records[winner].params, self.cost + len(runs))


def replay(world: World, search: SearchConfig, default: Point, seed: int) -> Scores:
    """Let every searcher make the most of TRIALS and spend the most of BUDGETS, and score what it would hand
    over."""
    ours = Ours(world, search, default, seed)
    random, plain = RandomSearch(world, search, seed), PlainRecipe(world, search, seed)
    made = {
        **_history(ours, {OURS: ours.confirmed, UNCONFIRMED: ours.choice}),
        **_history(random, {RANDOM: random.choice}),
        **_history(plain, {PLAIN: plain.choice}),
    }
    return {name: scores(world, choices) for name, choices in made.items()}


def _history(searcher: Ours | Best, choices: dict[str, Callable[[], Choice]]) -> dict[str, list[Choice]]:
    found: dict[str, list[Choice]] = {name: [] for name in choices}
    count = 0
    while count < max(TRIALS) or searcher.cost < max(BUDGETS):
        searcher.step()
        count += 1
        for name, choice in choices.items():
            found[name].append(choice())
    return found


def scores(world: World, choices: Sequence[Choice]) -> dict[str, dict[int, float]]:
    """Of what was handed over after 1, 2, ... trials: regret and cost after TRIALS, regret within BUDGETS."""
    within = {budget: [choice for choice in choices if choice.cost <= budget][-1] for budget in BUDGETS}
    return {
        "regret": {count: regret(world, choices[count - 1].point) for count in TRIALS},
        "cost": {count: choices[count - 1].cost for count in TRIALS},
        "regret_within": {budget: regret(world, choice.point) for budget, choice in within.items()},
    }
