"""Training: stages of steps, each a pure function of the state before it, the recipe's seed and the step's number.

All randomness of step s comes from (seed, s, rank) and the order of the data from (seed, epoch), so a run that was
killed at any step and resumed from its last checkpoint ends with the same bits (CPU). Step numbers count finished
steps: the row and the checkpoint of step 10 are what ten steps gave.
"""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from workbench.data import Dataset
from workbench.data.mixed import of_sources
from workbench.detectors import Detector, build_detector, save_detector, start_from
from workbench.detectors.base import HasDifferences, asked
from workbench.detectors.load import not_finite
from workbench.errors import RunError
from workbench.evaluation import ImageResult, Result, evaluate
from workbench.evaluation.proposal_recall import ProposalRecall
from workbench.hardeners import build_hardener
from workbench.hiders import build_hiders
from workbench.training.processes.lock import FolderLock
from workbench.training.processes.world import (
    StopSignal,
    World,
    choose_precision,
)
from workbench.training.recipe import Recipe
from workbench.training.recipe_sections import Stage
from workbench.training.recording import checkpoint, records
from workbench.training.recording.disk import disk_error, write_record
from workbench.training.recording.environment import describe_environment
from workbench.training.recording.failures import NonFiniteError, non_finite
from workbench.training.recording.keeping import Keeping
from workbench.training.recording.notes import DONE, STOP
from workbench.training.recording.records import (
    Journal,
    Meter,
    MetricsCallback,
    log,
    mean_of_dicts,
    progress_bar,
)
from workbench.training.stepping import optimisation
from workbench.training.stepping.batches import (
    START,
    STEP,
    derived_seed,
    load_spec,
    prepare_proposals,
    step_loader,
    to_device,
)
from workbench.training.stepping.final_result import final_result
from workbench.training.stepping.obstacles import other_classes, rehearse
from workbench.training.stepping.placement import Placement
from workbench.training.stepping.stages import Span, select_players, spans
from workbench.types import Target


class Training:
    """A run as one process has it: the detector, and what else a checkpoint keeps."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        world: World,
        lock: FolderLock,
        progress: MetricsCallback | None,
    ):
        self.recipe, self.folder, self.world, self.lock = recipe, folder, world, lock
        self.precision = choose_precision(recipe.precision, world.device)
        self.spans = spans(recipe)
        self.data = load_spec(recipe.data)
        self.validation = None if recipe.validation is None else load_spec(recipe.validation)
        self.test = None if recipe.test is None else load_spec(recipe.test)
        torch.manual_seed(derived_seed(recipe.seed, START))
        hardener = build_hardener(recipe.hardener)
        detector = build_detector(recipe.detector, self.data.classes, hardener, pretrained=recipe.start is None)
        if recipe.hardener is not None and detector.hardener is None:
            raise RunError(f"{recipe.detector['kind']} leaves its hardener out: the run would be a baseline")
        if recipe.start is not None and not checkpoint.checkpoints(folder):
            fresh_layers = start_from(detector, recipe.start)
            log.info("starts from %s; layers for other classes start anew: %s", recipe.start, fresh_layers)
        self.detector: Detector = detector.to(world.device)
        self.learns = {name for name, parameter in detector.named_parameters() if parameter.requires_grad}
        self.ema = None if recipe.ema is None else optimisation.RunningMean(detector, decay=recipe.ema)
        self.hiders = build_hiders(recipe.augment.hide)
        asking = [hider for hider in self.hiders if hider.needs_detector]
        place = {"seed": recipe.seed, "rank": world.rank, "most": max(1, recipe.batch_size // world.size)}
        self.placement = Placement(asking, self.detector, self.data, **place)
        self.meter, ends = Meter(), {span.last for span in self.spans}
        self.kept = Keeping(folder, keep=recipe.keep, ends=ends, active=world.first)
        self.step, self.seconds, self.optimizer_state = 0, 0.0, None
        self.stage, self.stage_data = recipe.stages[0], self.data
        self._restore()
        self.began = time.monotonic() - self.seconds
        self.journal = Journal(folder, after_step=self.step, recipe=recipe, progress=progress, active=world.first)

    def run(self, stop: StopSignal) -> bool:
        """All stages from the present step on; False if a signal stopped it."""
        parts = {"data": self.data, "validation": self.validation, "test": self.test}
        loaded = {key: data for key, data in parts.items() if data is not None}
        if self.world.first and stop.name is None:
            write_record(self.folder / "environment.json", describe_environment(self.world, self.precision))
            with self._autocast():
                rehearse(
                    self.detector,
                    loaded,
                    evaluate=self._evaluate,
                    factors=self.recipe.loss_factors,
                    hiders=self.hiders,
                )
        part = (self.world.rank, self.world.size)
        for data in loaded.values():
            prepare_proposals(data, workers=self.recipe.workers, part=part, stop=stop)
        if self.world.any(stop.name is not None)[0]:
            return self._stopped(stop)
        with (
            contextlib.closing(self.journal),
            progress_bar(self.recipe, self.step, active=self.world.first) as bar,
        ):
            for span in self.spans:
                if self.step < span.last and not self._run_stage(span, stop, bar):
                    return self._stopped(stop)
        self._finish()
        return True

    def _run_stage(self, span: Span, stop: StopSignal, bar: Any) -> bool:
        """The steps of a stage that are left; False if a signal stopped it before its end."""
        recipe, lr = self.recipe, self.recipe.scaled_lr(span.stage)
        schedule = span.stage.schedule or recipe.schedule
        learning = select_players(self.detector, span.stage, self.learns)
        self.stage, self.stage_data = span.stage, self.detector.samples(of_sources(self.data, span.stage.sources))
        optimizer = optimisation.build_optimizer(
            learning.get("detector", []),
            recipe.optimizer,
            lr=lr,
            hardener=learning.get("hardener", []),
            hardener_factor=(span.stage.hardener_lr or span.stage.lr) / span.stage.lr,
        )
        if self.optimizer_state is not None and self.step > span.first:
            optimizer.load_state_dict(self.optimizer_state)
        self.optimizer_state = None
        if self.step == span.first:
            self.kept.watch.begin_stage()
        model = self._distributed(span.stage)
        scaled = f"{lr:.3g} ({span.stage.lr:g} stated for {recipe.lr_batch_size} images)"
        log.info("steps %d to %d train: %s, learning rate %s", self.step, span.last, span.stage.train, scaled)
        mark = (time.monotonic(), self.step)
        for images, targets in self._batches(span.last):
            now = optimisation.learning_rate(self.step - span.first, steps=span.stage.steps, lr=lr, schedule=schedule)
            optimisation.set_learning_rate(optimizer, now)
            if self.step == span.first or self._epoch(self.step) != self._epoch(self.step - 1):
                self._begin_epoch()
            stopping = self._step(model, learning, optimizer, images, targets, stop)
            bar.update()
            if self.step % recipe.log_every == 0 or self.step == span.last:
                self._log(now, mark)
                mark = (time.monotonic(), self.step)
            if self._validation_is_due():
                self._validate()
                mark = (time.monotonic(), self.step)
            if self.step % recipe.checkpoint_every == 0 or self.step == span.last or stopping:
                self._save(optimizer)
            if stopping and self.step < recipe.steps:
                return False
        return True

    def _step(
        self,
        model: nn.Module,
        learning: dict[str, list[nn.Parameter]],
        optimizer: Optimizer,
        images: list[Tensor],
        targets: list[Target],
        stop: StopSignal,
    ) -> bool:
        """One step of the optimiser; whether any process was asked to stop meanwhile."""
        self.lock.check()
        images, targets = self._placed(images, targets)
        device, seed = self.world.device, derived_seed(self.recipe.seed, STEP, self.step, self.world.rank)
        torch.manual_seed(seed)
        generator = torch.Generator(device).manual_seed(seed)
        inputs = to_device(images, targets, device)
        with self._autocast():
            losses = model(*inputs, generator).scaled(self.stage.loss_factors)
        total, values = losses.total, losses.floats()
        stopping, bad = self.world.any(stop.name is not None, not math.isfinite(values["total"]))
        if bad:
            raise self._non_finite("loss", self.step + 1, values, targets)
        self.kept.look_at(self.step + 1, values["total"])
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        # Each player by itself, so that a large loss of the adversary does not hold the detector back.
        clip = self.recipe.optimizer.grad_clip
        norm = math.hypot(*(float(optimisation.gradient_norm(player, clip=clip)) for player in learning.values()))
        if not math.isfinite(norm):  # equal in all processes
            raise self._non_finite("gradient", self.step + 1, values, targets)
        optimizer.step()
        self.step += 1
        if self.ema is not None:
            self.ema.update(self.detector)
        parts = {f"loss/{name}": value for name, value in values.items() if name != "total"}
        hiding = {f"hide/{name}": value for name, value in self.placement.health.items()} if self.stage.harden else {}
        self.meter.add({"loss": values["total"], **parts, **hiding, "grad_norm": norm})
        return stopping

    def _placed(self, images: list[Tensor], targets: list[Target]) -> tuple[list[Tensor], list[Target]]:
        """The images of the step after the hiders that ask the detector; hardeners learn how far the training is."""
        progress = self.step / self.recipe.steps
        if self.detector.hardener is not None:
            self.detector.hardener.begin_step(progress)
        if not self.stage.harden or not self.placement.hiders:
            return images, targets
        with self._autocast():
            return self.placement(images, targets, step=self.step, progress=progress)

    def _epoch(self, step: int) -> int:
        """The epoch that the first image of a step belongs to."""
        return step * self.recipe.batch_size // len(self.stage_data)

    def _begin_epoch(self) -> None:
        """Let the hardener see what occlusion does to the features of the pairs now."""
        hardener = self.detector.hardener
        if hardener is not None and hardener.active:
            self.world.share(self.detector.buffers())  # so that all processes have the same running statistics
            with self._autocast():
                hardener.begin_epoch(self._differences)

    def _differences(self) -> Tensor:
        """What occlusion adds to the features of the pairs of the training data [M, C, h, w]."""
        if self.data.pairs is None:
            raise RunError("the hardener needs pairs, and the training data have none; give data.options.occlusion")
        return asked(self.detector, HasDifferences).differences(self.data.pairs)

    def _batches(self, last: int) -> DataLoader:
        augment = self.recipe.augment
        return step_loader(
            self.stage_data,
            seed=self.recipe.seed,
            augment=augment if self.stage.harden else augment.model_copy(update={"hide": None}),
            batch_size=self.recipe.batch_size,
            first=self.step,
            last=last,
            steps=self.recipe.steps,
            world=self.world,
            workers=self.recipe.workers,
        )

    def _distributed(self, stage: Stage) -> nn.Module:
        if self.world.size == 1:
            return self.detector
        # An adversary may sit out a step (no RoIs); then its parameters take no part in that step.
        return DistributedDataParallel(self.detector, find_unused_parameters=stage.train != "detector")

    def _autocast(self) -> torch.autocast:
        enabled = self.precision is torch.bfloat16
        return torch.autocast(self.world.device.type, dtype=torch.bfloat16, enabled=enabled)

    def _non_finite(self, what: str, step: int, values: dict[str, float], targets: list[Target]) -> NonFiniteError:
        place: dict[str, Any] = {"step": step, "stage": self._stage_of(step), "world": self.world}
        return non_finite(what, losses=values, targets=targets, last_good=self.kept.last_good(), **place)

    def _log(self, lr: float, mark: tuple[float, int]) -> None:
        means = mean_of_dicts(self.world.gather(self.meter.take()))
        seconds = max(time.monotonic() - mark[0], 1e-9)
        epoch = self.step * self.recipe.batch_size / len(self.stage_data)
        speed = (self.step - mark[1]) / seconds
        place = {"stage": self._stage_of(self.step), "epoch": epoch}
        hardener = self.detector.hardener
        health = {} if hardener is None else {f"hardener/{name}": value for name, value in hardener.health.items()}
        self.journal.write(self.step, "train", {**place, "lr": lr, **means, **health, "steps_per_s": speed})

    def _validation_is_due(self) -> bool:
        spec = self.recipe.validation
        if spec is None:
            return False
        return self.step == self.recipe.steps or (spec.every is not None and self.step % spec.every == 0)

    def _validate(self) -> None:
        if self.world.first and self.validation is not None:
            with self._autocast():
                result = self._evaluate(self.validation, losses=True)
            losses = {f"loss/{name}": value for name, value in (result.losses or {}).items()}
            total = {"loss": sum(losses.values())} if losses else {}
            self.journal.write(self.step, "val", {**result.summary, **losses, **total})

    def _evaluate(self, data: Dataset, *, losses: bool = False) -> Result | ImageResult | ProposalRecall:
        batch = max(1, self.recipe.batch_size // self.world.size)
        with self._mean_weights():
            return evaluate(
                self.detector, data, batch_size=batch, device=self.world.device, losses=losses, progress=False
            )

    def _tested(self, data: Dataset) -> Result | ImageResult | ProposalRecall:
        spec, batch = self.recipe.test, max(1, self.recipe.batch_size // self.world.size)
        with self._mean_weights():
            return final_result(self.detector, data, spec, batch_size=batch, device=self.world.device)

    def _mean_weights(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self.ema is None else self.ema.in_place_of(self.detector)

    def _save(self, optimizer: Optimizer) -> None:
        """A checkpoint of the present step, unless its weights are not finite."""
        bad = not_finite(self.detector.state_dict()) or (self.ema and not_finite(self.ema.state))
        if self.world.any(bad is not None)[0]:
            raise self._non_finite(f"weight {bad}" if bad else "weight", self.step, {}, [])
        meters = self.world.gather(self.meter.state())
        if not self.world.first:
            return
        state = {
            "step": self.step, "stage": self._stage_of(self.step), "classes": list(self.data.classes),
            "fingerprint": self.recipe.fingerprint(), "seconds": time.monotonic() - self.began,
            "config": self.detector.config,
            "detector": self.detector.state_dict(), "ema": None if self.ema is None else self.ema.saveable(),
            "optimizer": optimizer.state_dict(), "meters": meters,
        }  # fmt: skip
        self.lock.check()
        self.kept.save(state)

    def _restore(self) -> None:
        state = checkpoint.newest_checkpoint(self.folder, device=self.world.device)
        if state is None:
            return
        if state["fingerprint"] != self.recipe.fingerprint():
            raise RunError(f"{self.folder} holds checkpoints of another recipe; choose another folder")
        if state["classes"] != list(self.data.classes):
            raise RunError(
                f"the data have other classes than {self.folder} was trained for: "
                f"{other_classes(self.data.classes, state['classes'])}. Resume it with the data it began with, or "
                "train in another folder (start: takes its weights over)"
            )
        path = checkpoint.checkpoint_path(self.folder, state["step"])
        checkpoint.restore_detector(self.detector, state["detector"], path)
        if self.ema is not None:
            self.ema = optimisation.RunningMean.restored(self.detector, state["ema"], decay=self.ema.decay)
        self.step, self.seconds, self.optimizer_state = state["step"], state["seconds"], state["optimizer"]
        self.meter = Meter(**state["meters"][self.world.rank])
        self.kept.resumed(self.step, state.get("watch", {}))
        log.info("resumed at step %d", self.step)

    def _stage_of(self, step: int) -> int:
        """Index of the stage that makes a step (counted from 1)."""
        return next(span.index for span in self.spans if step <= span.last)

    def _stopped(self, stop: StopSignal) -> bool:
        log.info("stopped at step %d", self.step)
        if self.world.first and not (self.folder / STOP).exists():
            record = {"time": time.time(), "step": self.step, "signal": stop.name}
            write_record(self.folder / STOP, record)
        return False

    def _finish(self) -> None:
        if not self.world.first:
            return
        self.lock.check()
        path = self.folder / "detector.safetensors"
        result = None
        try:
            with self._mean_weights():
                about = {"recipe": self.recipe.name, "seed": self.recipe.seed, "steps": self.step}
                save_detector(self.detector, path, about=about)
            if self.test is not None:
                evaluation = self._tested(self.test)
                self.lock.check()
                path = evaluation.save(self.folder / "result.json")
                result = records.without_nan(evaluation.summary)
        except OSError as error:
            raise disk_error(path, error) from error
        self.kept.finish(self.step)
        seconds = time.monotonic() - self.began
        write_record(self.folder / DONE, {"step": self.step, "seconds": seconds, "result": result})
        log.info("done: %d steps in %.0f s", self.step, seconds)
