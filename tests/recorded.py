"""Studies on disk as a search leaves them, without one."""

import math
from pathlib import Path
from typing import Any

from fake_trial import config_of

from search.record import StudyConfig, TrialRecord
from search.space import Point
from search.study import Study

START = "2026-11-20T08:00:00+00:00"
SPENT = {10: 24.0, 30: 72.0, 100: 240.0}  # seconds by the percent a trial came to


def config_on(dataset: str, prior: str | None = None, **search: Any) -> StudyConfig:
    """The settings of a study on that data set, begun from `prior`."""
    config = config_of(20, **search)
    data = config.dataset.model_copy(update={"name": dataset, "train_rows": 7983})
    return config.model_copy(update={"dataset": data, "prior": prior})


def make_study(folder: Path, records: list[TrialRecord], config: StudyConfig | None = None) -> Study:
    """A study with these ended trials."""
    study = Study(folder)
    folder.mkdir(parents=True)
    study.adopt_config(config or config_of(20))
    for record in records:
        study.ask(record.number, record.params)
        study.end(record)
    return study


def ended(
    number: int,
    loss: float | None,
    status: str = "COMPLETE",
    *,
    came: int = 100,
    cause: str = "",
    point: tuple[float, int, float] = (1e-4, 16, 32.0),
    **metrics: Any,
) -> TrialRecord:
    """A trial that came to `came` percent with that log loss, an evaluation every ten percent."""
    percents = range(10, came + 1, 10) if loss is not None else ()
    rate, rank, alpha = point
    return TrialRecord.model_validate(
        {
            "trial_id": f"s-{number:04d}",
            "number": number,
            "status": status,
            "cause": cause,
            "params": Point(learning_rate=rate, lora_rank=rank, lora_alpha=alpha),
            "value": loss if status != "FAILED" else None,
            "metrics": {"log_loss": loss, **metrics} if loss is not None else {},
            "curve": [(percent, loss + (came - percent) / 500) for percent in percents if loss is not None],
            "seconds": SPENT.get(came, 6.0),
            "device": "cpu",
            "started": START,
            "ended": f"2026-11-20T08:{number:02d}:30+00:00",
        }
    )


def twenty() -> list[TrialRecord]:
    """A search with pruned and failed trials; the log loss is lowest at a learning rate of 5e-4."""
    records = [ended(0, 0.12, accuracy=0.96)]
    for number in range(1, 20):
        rate = 2e-5 * 10 ** (2 * ((number * 7) % 20) / 19.5)
        point = (rate, 4 * 2 ** (number % 5), 4 * 2 ** (number % 5) * 2.0 ** (number % 4 - 1))
        loss = 0.05 + 0.1 * (math.log10(rate) + 3.3) ** 2 + 0.0005 * (number % 3)
        if number in (6, 13):
            cause = "nan loss (at step 41: \u221e)" if number == 6 else "out of memory (<b>2 GiB</b>)"
            records.append(ended(number, None, "FAILED", came=0, cause=cause, point=point))
        elif number > 8 and loss > 0.07:
            came = 10 if number % 2 else 30
            records.append(ended(number, loss + 0.3, "PRUNED", came=came, point=point))
        else:
            records.append(ended(number, loss, point=point, accuracy=0.98))
    return records
