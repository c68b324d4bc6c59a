"""Follow a run while it trains: curves, status, speed, log, health of its adversary; stop it and let it go on."""

from __future__ import annotations

import html
import threading
from pathlib import Path
from typing import Any

import ipywidgets
import pandas as pd
import plotly.graph_objects as go
import traitlets

from widgets.parts.controls import button
from widgets.parts.messages import alert, badge
from widgets.parts.panel import Panel
from widgets.parts.plots import Plot
from widgets.parts.selection import Selects
from workbench.errors import WorkbenchError
from workbench.figures.adversary_health import (
    adversary_health,
    angle_histogram,
    hardener_warnings,
    watches_adversary,
)
from workbench.figures.training import learning_curves
from workbench.training import Run

#: Sign and tone of each status.
BADGES = {
    "queued": ("…", "information"),
    "starting": ("◌", "information"),
    "running": ("▶", "information"),
    "stopping": ("…", "warning"),
    "stopped": ("■", "neutral"),
    "done": ("✓", "success"),
    "failed": ("✕", "error"),
}
ALIVE = ("queued", "starting", "running")
STOP, RESUME = "Write a checkpoint and end; it can be resumed", "Go on from the latest checkpoint"
IDLE = 5  #: an ended run is looked at so many times less often, since another may resume it


class RunMonitor(Selects, Panel):
    """Learning curves, status, speed and log of a run, kept up to date until `close()`.

    Args:
        run: a `Run`, or the path of its folder: after a restart of the kernel, `RunMonitor("runs/...")` finds it.
        interval: seconds between two looks.
        log_lines: how many of the last lines are shown.

    What goes wrong with a hardener stands below the curves, in plain words; then follows the health of an adversary
    (ASDN, ASTN), where the run has one.

    A thread of its own looks at the folder, so that it goes on while a cell runs. `status` and `step` are traitlets
    to observe; `refresh()` looks at once. `selection` has one row, the run.

    Example:
        >>> brief = {"stages.0.steps": 2, "batch_size": 2, "data.options": {"length": 8}}
        >>> recipe = wb.Recipe.load("digit-scenes/faster-rcnn").replace(brief, validation=None, test=None)
        >>> monitor = widgets.RunMonitor(wb.launch(recipe, "runs/watched"))
        >>> monitor.run.wait()
        'done'
        >>> monitor.refresh()
        >>> monitor.status, monitor.step
        ('done', 2)
        >>> monitor.close()
    """

    COLUMNS = ("run", "folder", "recipe", "status", "step", "steps")

    status = traitlets.Unicode("starting", read_only=True, help="the run's status, or 'stopping'")
    step = traitlets.Int(0, read_only=True)

    def __init__(self, run: Run | str | Path, *, interval: float = 2.0, log_lines: int = 40):
        self._closed = threading.Event()  # first: ipywidgets closes what could not be built, too
        self._lock = threading.RLock()  # the thread and the buttons both change what is shown
        self.run = run if isinstance(run, Run) else Run.open(run)
        self.interval, self.log_lines = interval, log_lines
        self._stopping = False
        self._refused = ""  # why it was not stopped or resumed
        self._drawn = -1  # rows of metrics in the figure
        super().__init__()
        self._build()
        self._arrange()
        self.add_class("run-monitor")
        self.refresh()
        self._thread = threading.Thread(target=self._follow, name=f"monitor {self.run.name}", daemon=True)
        self._thread.start()

    def _build(self) -> None:
        name, folder = html.escape(self.run.name), html.escape(str(self.run.folder), quote=True)
        title = ipywidgets.HTML(f'<b title="{folder}">{name}</b>', layout={"margin": "0 12px 0 0"})
        self._badge = ipywidgets.HTML(layout={"margin": "0 12px 0 0"})
        self._bar = ipywidgets.IntProgress(max=max(1, self.run.recipe.steps), layout={"width": "160px"})
        self._bar.tooltip = "steps done"
        self._facts = ipywidgets.HTML(layout={"flex": "1 1 auto", "margin": "0 12px"})
        self.stop_button = button("Stop", "stop", self._stop, width="96px", tooltip=STOP)
        self.resume_button = button("Resume", "play", self._resume, width="96px", tooltip=RESUME)
        row = [title, self._badge, self._bar, self._facts, self.stop_button, self.resume_button]
        self._top = ipywidgets.HBox(row, layout={"align_items": "center", "flex_flow": "row wrap"})
        self._message = ipywidgets.HTML()
        self.curves = Plot(learning_curves(self.run.metrics()))
        self.health: Plot | None = None  # once something of an adversary is logged
        self.angles: Plot | None = None  # once something of angles is
        self._of_adversary = ipywidgets.HTML("<b>Health of the adversary</b>")
        self._warnings = ipywidgets.HTML()
        self._log = ipywidgets.HTML()
        self._log_box = ipywidgets.Accordion([self._log], titles=("Log",), selected_index=None)

    def _arrange(self) -> None:
        """Put the parts that there are below each other."""
        health = [self._of_adversary, self._warnings, self.health] if self.health is not None else [self._warnings]
        angles = [] if self.angles is None else [self.angles]
        self.fill([self._top, self._message, self.curves, *health, *angles, self._log_box])

    def refresh(self) -> None:
        """Look at the run's folder and show what it says."""
        with self._lock:
            if self._closed.is_set():
                return
            try:
                self._show()
            except (OSError, WorkbenchError) as error:
                self._say(str(error))

    def __repr__(self) -> str:
        return f"RunMonitor({self.run.name})"

    def close(self) -> None:
        """Stop following and take the widget away; the run is not touched."""
        self._closed.set()
        with self._lock:  # what is being shown is shown first
            super().close()

    def _follow(self) -> None:
        while not self._closed.wait(self.interval * (1 if self.run.alive else IDLE)):
            self.refresh()

    def _show(self) -> None:
        status, progress = self.run.status, self.run.progress()
        alive = status in ALIVE
        self._stopping &= alive  # it ended before the thread that stops it could say so
        shown = "stopping" if self._stopping else status
        self._refused = self._refused if shown == self.status else ""
        sign, tone = BADGES[shown]
        self._badge.value = badge(f"{sign} {shown}", tone)
        self._bar.value = progress.step
        facts = _facts(progress.step, progress.total, progress.steps_per_second, alive=alive)
        self._facts.value = f"{facts} · {html.escape(str(self.run.job))}" if status == "queued" else facts
        self.stop_button.disabled = shown not in ALIVE
        self.resume_button.disabled = status not in ("stopped", "failed")
        self._say(self._refused or self.run.error or "")
        log = html.escape(self.run.log(self.log_lines))
        self._log.value = f'<pre style="max-height:260px;overflow:auto">{log}</pre>'
        self._draw()
        self.set_trait("step", progress.step)  # last, so that observers find the rest up to date
        self.set_trait("status", shown)
        self._announce()

    def _chosen_rows(self) -> list[dict[str, Any]]:
        about = {"run": self.run.name, "folder": str(self.run.folder), "recipe": self.run.recipe.name}
        return [about | {"status": self.status, "step": self.step, "steps": self.run.recipe.steps}]

    def _draw(self) -> None:
        metrics = self.run.metrics()
        if len(metrics) == self._drawn:
            return
        self._drawn = len(metrics)
        self.curves.draw(learning_curves(metrics))
        if watches_adversary(metrics):
            self._draw_health(metrics)
        texts = hardener_warnings(metrics, self.run.recipe)
        self._warnings.value = "".join(alert(f"⚠ {text}", "warning") for text in texts)

    def _draw_health(self, metrics: pd.DataFrame) -> None:
        """Below the curves from when there is something of an adversary on."""
        new, turned = adversary_health(metrics, self.run.recipe), angle_histogram(metrics)
        self.health = _drawn(self.health, new)
        if turned is not None:
            self.angles = _drawn(self.angles, turned)
        self._arrange()

    def _say(self, text: str) -> None:
        self._message.value = alert(text)

    def _stop(self, _: Any) -> None:
        self._stopping = True
        self.refresh()
        threading.Thread(target=self._stop_run, daemon=True).start()  # a checkpoint may take seconds

    def _stop_run(self) -> None:
        try:
            self.run.stop()
        except WorkbenchError as error:
            self._stopping = False
            self.refresh()  # it runs again, which makes what was refused before forgotten
            self._refused = str(error)
        finally:
            self._stopping = False
            self.refresh()

    def _resume(self, _: Any) -> None:
        try:
            self.run.resume()
        except WorkbenchError as error:
            self._refused = str(error)
        self.refresh()


def _drawn(plot: Plot | None, figure: go.Figure) -> Plot:
    """The plot with this figure, or a new one."""
    if plot is None:
        return Plot(figure)
    plot.draw(figure)
    return plot


def _facts(step: int, total: int, steps_per_second: float, *, alive: bool) -> str:
    """Steps, and while it trains its speed and what is left."""
    facts = [f"step {step:,} of {total:,}"]
    if alive and steps_per_second > 0:
        facts += [f"{steps_per_second:.3g} steps/s", f"{duration((total - step) / steps_per_second)} left"]
    return " · ".join(facts)


def duration(seconds: float) -> str:
    """About how long, as people say it: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
