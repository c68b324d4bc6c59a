"""Training: stages of steps, each a pure function of the state before it, the recipe's seed and the step's number.

All randomness of step s comes from (seed, s, rank) and the order of the data from (seed, epoch), so a run that was
killed at any step and resumed from its last checkpoint ends with the same bits (CPU). Step numbers count finished
steps: the row and the checkpoint of step 10 are what ten steps gave.

`python -m workbench.training.trainer FOLDER` trains the recipe in a run folder; `launch` and torchrun start that.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from workbench.data import Dataset, load_data
from workbench.detectors import Detector, build_detector, save_detector
from workbench.errors import RunError
from workbench.hardeners import build_hardener
from workbench.training.allocator import keep_memory
from workbench.training.batches import START, STEP, derived_seed, step_loader, to_device
from workbench.training.checkpoint import (
    DiskError, disk_error, last_checkpoint, newest_checkpoint, remove_leftovers, save_checkpoint, write_json,
)  # fmt: skip
from workbench.training.environment import describe_environment
from workbench.training.optimisation import (
    RunningMean, build_optimizer, gradient_norm, learning_rate, set_learning_rate,
)  # fmt: skip
from workbench.training.recipe import DataSpec, Recipe, Stage
from workbench.training.records import Meter, MetricsFile, log, log_to, progress_bar, write_error
from workbench.training.world import StopSignal, World, choose_precision, die_with_torchrun, join_world

Progress = Callable[[dict[str, Any]], None]
OF_A_RUN = ("metrics.jsonl", "done.json", "result.json", "detector.safetensors")


class NonFiniteError(RunError):
    """A loss or gradient is no longer a number."""

    def __init__(self, message: str, **details: Any):
        super().__init__(message)
        self.details = details


def train(recipe: Recipe, folder: str | Path, *, resume: bool = True, progress: Progress | None = None) -> bool:
    """Train `recipe` in this process and write everything into `folder`; True when it was finished.

    Args:
        resume: go on from the newest checkpoint in `folder`; False deletes what is there and starts anew.
        progress: called with every row of metrics.

    Raises:
        RunError: the loss is not finite, the disk refuses, or the folder holds a run of another recipe.
            `error.json` says the same, and the last checkpoint is kept.
    """
    folder = Path(folder)
    keep_memory()
    with StopSignal() as stop, join_world(recipe) as world:
        if world.first:
            _prepare(folder, recipe, resume=resume)
        world.wait()
        with log_to(folder, active=world.first), _errors_recorded(folder):
            if (folder / "done.json").exists():
                log.info("this run is done; nothing is left to do")
                return True
            return Training(recipe, folder, world, progress).run(stop)


class Training:
    """A run as one process has it: the detector, and what else a checkpoint keeps."""

    def __init__(self, recipe: Recipe, folder: Path, world: World, progress: Progress | None):
        self.recipe, self.folder, self.world, self.progress = recipe, folder, world, progress
        self.precision = choose_precision(recipe.precision, world.device)
        self.data = load_spec(recipe.data)
        self.validation = None if recipe.validation is None else load_spec(recipe.validation)
        torch.manual_seed(derived_seed(recipe.seed, START))
        detector = build_detector(recipe.detector, self.data.classes, build_hardener(recipe.hardener))
        self.detector: Detector = detector.to(world.device)
        self.learns = {name for name, parameter in detector.named_parameters() if parameter.requires_grad}
        self.ema = None if recipe.ema is None else RunningMean(detector, decay=recipe.ema)
        self.meter, self.step, self.seconds, self.optimizer_state = Meter(), 0, 0.0, None
        self._restore()
        self.began = time.monotonic() - self.seconds
        self.metrics = MetricsFile(folder / "metrics.jsonl", after_step=self.step) if world.first else None

    def run(self, stop: StopSignal) -> bool:
        """All stages from the present step on; False if a signal stopped it."""
        if self.world.first:
            write_json(self.folder / "environment.json", describe_environment(self.world, self.precision))
        last = 0
        with progress_bar(self.recipe, self.step, active=self.world.first) as bar:
            for stage in self.recipe.stages:
                first, last = last, last + stage.steps
                if self.step < last and not self._run_stage(stage, first, last, stop, bar):
                    return self._stopped(stop)
        self._finish()
        return True

    def _run_stage(self, stage: Stage, first: int, last: int, stop: StopSignal, bar: Any) -> bool:
        learning = select_parameters(self.detector, stage, self.learns)
        optimizer = build_optimizer(learning, self.recipe.optimizer, lr=self.recipe.scaled_lr(stage))
        if self.optimizer_state is not None and self.step > first:
            optimizer.load_state_dict(self.optimizer_state)
        self.optimizer_state = None
        model = self._distributed(stage)
        scaled = f"{self.recipe.scaled_lr(stage):.3g} (stated {stage.lr:g}, scaled by {self.recipe.lr_scale:g})"
        log.info("steps %d to %d train %s at learning rate %s", self.step, last, stage.train, scaled)
        mark = (time.monotonic(), self.step)
        for images, targets in self._batches(last):
            lr = learning_rate(
                self.step - first, steps=stage.steps,
                lr=self.recipe.scaled_lr(stage), schedule=stage.schedule or self.recipe.schedule,
            )  # fmt: skip
            set_learning_rate(optimizer, lr)
            asked_to_stop = self._step(model, learning, optimizer, images, targets, stop)
            bar.update()
            if self.step % self.recipe.log_every == 0 or self.step == last:
                self._log(lr, mark)
                mark = (time.monotonic(), self.step)
            if self._validation_is_due():
                self._validate()
            if self.step % self.recipe.checkpoint_every == 0 or self.step == last or asked_to_stop:
                self._save(optimizer)
            if asked_to_stop:
                return self.step == self.recipe.steps
        return True

    def _step(
        self, model: nn.Module, learning: list[nn.Parameter], optimizer: Optimizer, images: list, targets: list,
        stop: StopSignal,
    ) -> bool:  # fmt: skip
        """One step of the optimiser; whether any process was asked to stop meanwhile."""
        device, seed = self.world.device, derived_seed(self.recipe.seed, STEP, self.step, self.world.rank)
        torch.manual_seed(seed)
        generator = torch.Generator(device).manual_seed(seed)
        inputs = to_device(images, targets, device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.precision is torch.bfloat16):
            losses = model(*inputs, generator)
        total, values = losses.total, losses.floats()
        asked_to_stop, bad = self.world.any(stop.name is not None, not math.isfinite(values["total"]))
        if bad:
            self._refuse("loss", values, targets)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = float(gradient_norm(learning, clip=self.recipe.optimizer.grad_clip))
        if not math.isfinite(norm):  # gradients are equal in all processes
            self._refuse("gradient", values, targets)
        optimizer.step()
        self.step += 1
        if self.ema is not None:
            self.ema.update(self.detector)
        self.meter.add({"loss": values.pop("total"), "grad_norm": norm, **{f"loss/{k}": v for k, v in values.items()}})
        return asked_to_stop

    def _batches(self, last: int) -> Iterator[tuple[list, list]]:
        recipe = self.recipe
        return iter(
            step_loader(
                self.data, seed=recipe.seed, flip=recipe.augment.flip, batch_size=recipe.batch_size,
                first=self.step, last=last, world=self.world, workers=recipe.workers,
            )
        )  # fmt: skip

    def _distributed(self, stage: Stage) -> nn.Module:
        if stage.train == "hardener":  # BatchNorm of the detector keeps its statistics
            self.detector.eval()
            self.detector.hardener.train()
        else:
            self.detector.train()
        if self.world.size == 1:
            return self.detector
        # A hardener may leave out its adversary in a step; then its parameters take no part in that step.
        return DistributedDataParallel(self.detector, find_unused_parameters=stage.train != "detector")

    def _refuse(self, what: str, values: dict[str, float], targets: list) -> None:
        ids = [target.get("image_id") for target in targets]
        shares = self.world.gather({"losses": values, "image_ids": ids})
        ids = [image_id for share in shares for image_id in share["image_ids"]]
        bad = sorted({k for s in shares for k, v in s["losses"].items() if k != "total" and not math.isfinite(v)})
        kept = last_checkpoint(self.folder)
        raise NonFiniteError(
            f"the {what} is not finite at step {self.step + 1}" + (f" ({', '.join(bad)})" if bad else "")
            + f". Try a lower learning rate or optimizer.grad_clip, run doctor(recipe), and look at the images {ids}. "
            + (f"The last good checkpoint is {kept}." if kept else "There is no checkpoint yet."),
            step=self.step + 1, stage=self._stage_index(), losses=[share["losses"] for share in shares],
            image_ids=ids, last_checkpoint=kept,
        )  # fmt: skip

    def _log(self, lr: float, mark: tuple[float, int]) -> None:
        means = mean_of_dicts(self.world.gather(self.meter.take()))
        seconds = max(time.monotonic() - mark[0], 1e-9)
        epoch = self.step * self.recipe.batch_size / len(self.data)
        speed = (self.step - mark[1]) / seconds
        self._write("train", {"stage": self._stage_index(), "epoch": epoch, "lr": lr, **means, "steps_per_s": speed})

    def _validation_is_due(self) -> bool:
        spec = self.recipe.validation
        if spec is None:
            return False
        return self.step == self.recipe.steps or (spec.every is not None and self.step % spec.every == 0)

    def _validate(self) -> None:
        if self.world.first:
            bf16 = self.precision is torch.bfloat16
            with torch.autocast(self.world.device.type, dtype=torch.bfloat16, enabled=bf16):
                result = self._evaluate(self.validation, losses=True)
            losses = {f"loss/{name}": value for name, value in (result.losses or {}).items()}
            total = {"loss": sum(losses.values())} if losses else {}
            self._write("val", {**result.summary, **losses, **total})

    def _evaluate(self, data: Dataset, *, losses: bool = False) -> Any:
        from workbench.evaluation import evaluate

        batch = max(1, self.recipe.batch_size // self.world.size)
        averaged = contextlib.nullcontext() if self.ema is None else self.ema.in_place_of(self.detector)
        with averaged:
            return evaluate(
                self.detector, data, batch_size=batch, device=self.world.device, losses=losses, progress=False
            )

    def _write(self, kind: str, values: dict[str, Any]) -> None:
        if self.metrics is None:
            return
        row = {"step": self.step, "time": time.time(), "kind": kind}
        row |= {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}
        self.metrics.write(row)
        shown = {k: f"{row[k]:.4g}" for k in ("loss", "AP", "lr", "steps_per_s") if row.get(k) is not None}
        log.info("%s %d: %s", kind, self.step, ", ".join(f"{k} {v}" for k, v in shown.items()))
        if self.progress is not None:
            self.progress(row)

    def _save(self, optimizer: Optimizer) -> None:
        meters = self.world.gather(self.meter.state())
        if not self.world.first:
            return
        ends = [sum(s.steps for s in self.recipe.stages[: i + 1]) for i in range(len(self.recipe.stages))]
        state = {
            "step": self.step, "stage": self._stage_index(), "classes": list(self.data.classes),
            "fingerprint": self.recipe.fingerprint(), "seconds": time.monotonic() - self.began,
            "detector": self.detector.state_dict(), "ema": None if self.ema is None else self.ema.saveable(),
            "optimizer": optimizer.state_dict(), "meters": meters,
        }  # fmt: skip
        save_checkpoint(self.folder, state, keep=self.recipe.keep, stage_ends=set(ends))

    def _restore(self) -> None:
        state = newest_checkpoint(self.folder, device=self.world.device)
        if state is None:
            return
        if state["fingerprint"] != self.recipe.fingerprint():
            raise RunError(f"{self.folder} holds checkpoints of another recipe; choose a new folder, or resume=False")
        self.detector.load_state_dict(state["detector"])
        if self.ema is not None:
            self.ema = RunningMean.restored(self.detector, state["ema"], decay=self.ema.decay)
        self.step, self.seconds, self.optimizer_state = state["step"], state["seconds"], state["optimizer"]
        self.meter = Meter(**state["meters"][self.world.rank])
        log.info("resumed at step %d", self.step)

    def _stage_index(self) -> int:
        """The stage that the last finished step belongs to."""
        last = 0
        for index, stage in enumerate(self.recipe.stages):
            last += stage.steps
            if self.step <= last:
                return index
        return index

    def _stopped(self, stop: StopSignal) -> bool:
        log.info("stopped at step %d", self.step)
        if self.world.first and not (self.folder / "stop.json").exists():
            write_json(self.folder / "stop.json", {"time": time.time(), "step": self.step, "signal": stop.name})
        return False

    def _finish(self) -> None:
        if not self.world.first:
            return
        result = None
        if self.recipe.test is not None:
            evaluation = self._evaluate(load_spec(self.recipe.test))
            evaluation.save(self.folder / "result.json")
            result = evaluation.summary
        averaged = contextlib.nullcontext() if self.ema is None else self.ema.in_place_of(self.detector)
        path = self.folder / "detector.safetensors"
        try:
            with averaged:
                about = {"recipe": self.recipe.name, "seed": self.recipe.seed, "steps": self.step}
                save_detector(self.detector, path, about=about)
        except OSError as error:
            raise disk_error(path, error) from error
        seconds = time.monotonic() - self.began
        write_json(self.folder / "done.json", {"step": self.step, "seconds": seconds, "result": result})
        log.info("done: %d steps in %.0f s", self.step, seconds)


def load_spec(spec: DataSpec) -> Dataset:
    """The data that a part of a recipe names."""
    data = load_data(spec.name, split=spec.split, root=spec.root, **spec.options)
    limit = getattr(spec, "limit", None)
    return data if limit is None else data.subset(range(min(limit, len(data))))


def select_parameters(detector: Detector, stage: Stage, learns: set[str]) -> list[nn.Parameter]:
    """Switch on the gradients of the players that a stage trains, off for the others; those that learn.

    `learns` names the parameters that the detector was built to train (a frozen trunk is not among them).
    """
    chosen = []
    for name, parameter in detector.named_parameters():
        player = "hardener" if name.startswith("hardener.") else "detector"
        parameter.requires_grad_(name in learns and stage.train in (player, "both"))
        chosen += [parameter] if parameter.requires_grad else []
    if not chosen:
        raise RunError(f"a stage trains the {stage.train}, which has no parameters to train")
    return chosen


def mean_of_dicts(dicts: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each name over those dicts that have it."""
    names = dict.fromkeys(name for values in dicts for name in values)
    return {n: math.fsum(d[n] for d in dicts if n in d) / sum(n in d for d in dicts) for n in names}


def _prepare(folder: Path, recipe: Recipe, *, resume: bool) -> None:
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        for name in ("error.json", "stop.json", *(() if resume else OF_A_RUN)):
            (folder / name).unlink(missing_ok=True)
        for path in [] if resume else (folder / "checkpoints").iterdir():
            path.unlink()
        if not resume or not (folder / "recipe.yaml").exists():
            recipe.save(folder / "recipe.yaml")
    except OSError as error:
        raise disk_error(folder, error) from error


@contextlib.contextmanager
def _errors_recorded(folder: Path) -> Iterator[None]:
    """Write `error.json` once: with several processes the first error is the cause of the others."""
    try:
        yield
    except Exception as error:
        if not (folder / "error.json").exists():
            kinds = {NonFiniteError: "non-finite-loss", DiskError: "disk"}
            details = error.details if isinstance(error, NonFiniteError) else {}
            write_error(folder, kind=kinds.get(type(error), type(error).__name__), message=str(error), **details)
        raise


def main(arguments: list[str] | None = None) -> int:
    """Train the recipe in a run folder. 0 when finished or stopped in an orderly way, 1 after an error."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: python -m workbench.training.trainer FOLDER", file=sys.stderr)
        return 2
    die_with_torchrun()
    try:
        train(Recipe.load(Path(arguments[0]) / "recipe.yaml"), arguments[0])
    except RunError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
