"""What takes the metrics of a run elsewhere; a plug-in registers its own in `workbench.registry.LOGGERS`.

A logger sees each row after it is in `metrics.jsonl`, in the first process of a run. It changes nothing of the
training: one that fails is heard of once, in the log, and gets no more rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from workbench.registry import LOGGERS


class Logger:
    """Takes the rows of one run. A run that is resumed makes a new one, which must not repeat what stands already.

    Args:
        folder: of the run; rows before the resume are in its `metrics.jsonl`, later ones are gone.
        recipe: all that is trained, as plain data.
        after_step: the step that the run goes on from; 0 for a new one.
        logged_step: the last step of rows that an earlier logger was given: those up to it come again.

    Example:
        >>> from workbench.registry import LOGGERS
        >>> from workbench.training.loggers import Logger
        >>> @LOGGERS.register("print")  # in a file of yours, which `wb.plug_in` loads
        ... class PrintLogger(Logger):
        ...     def write(self, row):
        ...         print(row["kind"], row["step"], row["loss"])
        >>> PrintLogger("runs/one", {}, 0, 0).write({"kind": "train", "step": 10, "time": 1.8e9, "loss": 0.5})
        train 10 0.5
    """

    kind = ""

    def __init__(self, folder: Path, recipe: Mapping[str, Any], after_step: int, logged_step: int):
        self.folder, self.recipe = folder, recipe
        self.after_step, self.logged_step = after_step, logged_step

    def write(self, row: Mapping[str, Any]) -> None:
        """Take one row: `step`, `time` (seconds since 1970), `kind` ("train" or "val"), figures or None by name."""
        raise NotImplementedError

    def close(self) -> None:
        """The run ends, or is stopped."""


def figures(row: Mapping[str, Any]) -> dict[str, float]:
    """What was measured, as "train/loss"."""
    about = ("step", "time", "kind")
    return {f"{row['kind']}/{name}": value for name, value in row.items() if name not in about and value is not None}


class Loggers:
    """All loggers of a run.

    Args:
        configs: kinds, or {"kind": ..., and options}.
        given: what each gets, see `Logger`.
        warn: hears of what fails, with a format and its arguments.
    """

    def __init__(self, configs: Sequence[str | Mapping[str, Any]], *given: Any, warn: Callable[..., object]):
        self._warn, self._open = warn, list[Logger]()
        for config in configs:
            name = config if isinstance(config, str) else config["kind"]
            self._try(name, partial(self._add, config, *given))

    def write(self, row: Mapping[str, Any]) -> None:
        """Hand a row to each."""
        for logger in list(self._open):
            if not self._try(logger.kind, partial(logger.write, row)):
                self._open.remove(logger)

    def close(self) -> None:
        """They get no more rows."""
        while self._open:
            logger = self._open.pop()
            self._try(logger.kind, logger.close)

    def _add(self, config: str | Mapping[str, Any], *given: Any) -> None:
        self._open.append(LOGGERS.build(config, *given))

    def _try(self, name: str, do: Callable[[], object]) -> bool:
        try:
            do()
        except Exception as error:  # of any kind: what others wrote must not end a training
            said = " ".join(str(error).split()) or type(error).__name__
            self._warn("the logger %s gets no further metrics: %s", name, said)
            return False
        return True
