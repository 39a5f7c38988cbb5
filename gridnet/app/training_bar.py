"""The progress bar of `gridnet train`: on a terminal alone, below the lines that tell of each validation."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from gridnet_policies.rl.pulse import TEACHING, Pulse


class _Rate(ProgressColumn):
    """Pace over the last half minute."""

    def render(self, task: Task) -> Text:
        """Such as `21,400 steps/s`; a dash before there is a pace."""
        unit = task.fields["unit"]
        return Text("-" if task.speed is None else f"{task.speed:,.0f} {unit}/s")


class TrainingBar:
    """A bar for the stage a run is in: how much is done, how fast it goes, and how long it will take at that pace.

    A context; outside a terminal it shows nothing. While it is open, lines printed to standard error appear above it.
    """

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        self._shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._stage, self._task = "", self._shown.add_task("perfect foresight", total=None, unit="steps")

    def __enter__(self) -> TrainingBar:
        self._shown.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._shown.stop()

    def feel(self, pulse: Pulse) -> None:
        """Moves the bar; a new stage begins a new one, so that the pace of one does not tell the time of the other."""
        if pulse.stage != self._stage:
            self._shown.remove_task(self._task)
            unit = "batches" if pulse.stage == TEACHING else "steps"
            self._task = self._shown.add_task(pulse.stage, total=pulse.total, unit=unit)
            self._stage = pulse.stage
        self._shown.update(self._task, completed=pulse.done)
