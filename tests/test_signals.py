"""What Ctrl-C and SIGTERM do: to a command, to a block that stops in order, to a promotion's training."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from search.stoppable import fit
from train_fn.cli import explained, new_app, run_app
from train_fn.signals import on_stop


def send(number: signal.Signals, times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_ends_with_one_line_and_the_next_command(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    app = new_app()

    @app.command()
    def work() -> None:
        with explained():
            send(number)

    before = signal.getsignal(number)
    assert run_app(app, []) == 130
    told = capsys.readouterr()
    assert told.err == "stopped; nothing finished is lost, the same command goes on\n"
    assert told.out.startswith("next     python ")
    assert signal.getsignal(number) is before


def test_the_third_signal_does_not_wait_for_the_first() -> None:
    came: list[str] = []
    with on_stop(came.append):
        send(signal.SIGTERM, 2)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert came == ["SIGTERM", "SIGTERM"]


class Trainer:
    """Trains until it is told to stop, or raises at once."""

    def __init__(self, stop: Path, error: Exception | None = None) -> None:
        self._stop, self._error = stop, error
        self.saved = False

    def fit(self) -> None:
        if self._error:
            raise self._error
        while not self._stop.exists():
            time.sleep(0.01)
        self.saved = True


def test_a_training_stops_at_a_signal_and_saves_before_the_command_ends(tmp_path: Path) -> None:
    stop = tmp_path / ".stop"
    trainer = Trainer(stop)
    threading.Timer(0.5, send, [signal.SIGTERM]).start()
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, stop)
    assert trainer.saved


def test_what_a_training_raises_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bad luck"):
        fit(Trainer(tmp_path / ".stop", ValueError("bad luck")), tmp_path / ".stop")
