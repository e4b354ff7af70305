"""Our charts, pages and files as W&B's own objects."""

from typing import Any

from train_fn.tracking import Files
from train_fn.tracking_charts import Chart, Page, Shown


def media(value: float | Shown) -> Any:
    """What `run.log` takes for it."""
    import wandb

    if isinstance(value, Page):
        return wandb.Html(value.html, inject=False, data_is_not_path=True)
    if not isinstance(value, Chart):
        return value
    table = wandb.Table(columns=list(value.columns), data=[list(row) for row in value.rows])
    if not value.preset:
        return table
    return wandb.plot_table(value.preset, table, dict(value.fields), dict(value.texts))


def artifact(files: Files) -> Any:
    """A draft of it, with copies of the files, so that a later upload has them."""
    import wandb

    draft = wandb.Artifact(files.name, type=files.type, metadata=dict(files.metadata))
    for name, path in files.paths.items():
        draft.add_file(
            str(path), name=name, skip_cache=True
        )  # a cache in the home folder would be a second copy
    return draft


def declare_used(run: Any, draft: Any) -> None:
    """Say that the run was made from it. W&B refuses use_artifact offline, though its files can hold a use and its
    sync tells the server of it: this is what use_artifact does online."""
    if run.offline:
        run._log_artifact(draft, is_user_created=True, use_after_commit=True)
    else:
        run.use_artifact(draft)
