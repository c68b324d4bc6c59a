"""Change what a run's folder says it trains, so that it can go on elsewhere or for longer.

Recipe and checkpoints are changed together. The new recipe is written beside the old one first and takes its place
last, so that a change which was interrupted is completed by the next resume.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import RunError, did_you_mean
from workbench.training.processes.lock import hold
from workbench.training.recipe import Recipe
from workbench.training.recording.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from workbench.training.recording.disk import disk_error
from workbench.training.recording.notes import DONE

NEXT = ".recipe-next.yaml"  #: in a run folder: a change that is under way
PARTS = ("data", "validation", "test")
FINAL = (DONE, "result.json", "result-source.json", "detector.safetensors")  #: what only a finished run has


def with_data_root(recipe: Recipe, data_root: str | Path | Mapping[str, str | Path]) -> Recipe:
    """The recipe with its data in other folders.

    Args:
        recipe: what is changed.
        data_root: the folder in place of that of the training data, wherever that is named; or part of the recipe
            ("data", "validation", "test") → folder.

    Raises:
        RunError: there is no such part, or it has no folder.
    """
    specs = {part: getattr(recipe, part) for part in PARTS}
    roots = {part: spec.root for part, spec in specs.items() if spec is not None and spec.root is not None}
    if isinstance(data_root, Mapping):
        given = dict(data_root)
    else:
        given = {part: data_root for part, root in roots.items() if root == roots.get("data", root)}
    for part in given:
        if part not in roots:
            raise RunError(f"data_root: {part!r} is no part with a folder{did_you_mean(part, list(roots))}")
    if not given:
        raise RunError(f"data_root: {recipe.name} has no data in folders")
    return recipe.replace({f"{part}.root": str(root) for part, root in given.items()})


def with_stage(recipe: Recipe, stage: Mapping[str, Any]) -> Recipe:
    """The recipe with a further stage: its last one, but for what `stage` says.

    Raises:
        RecipeError: it is no stage.
    """
    stages = recipe.to_dict()["stages"]
    return recipe.replace(stages=[*stages, {**stages[-1], **stage}])


def change(folder: Path, recipe: Recipe) -> None:
    """Let the run in a folder, which is not alive, go on with another recipe from its checkpoints.

    Raises:
        RunError: it is alive, or the disk refuses.
    """
    recipe.save(folder / NEXT)
    complete(folder)


def complete(folder: Path) -> None:
    """Carry out a change that is under way, if there is one.

    Raises:
        RunError: the run is alive, a checkpoint is damaged, or the disk refuses.
    """
    if not (folder / NEXT).is_file():
        return
    with hold(folder, make=False):
        fingerprint = Recipe.load(folder / NEXT).fingerprint()
        try:
            for name in FINAL:
                (folder / name).unlink(missing_ok=True)
            for path in checkpoints(folder):
                state = load_checkpoint(path)
                if state["fingerprint"] != fingerprint:
                    save_checkpoint(folder, {**state, "fingerprint": fingerprint})
            (folder / NEXT).replace(folder / "recipe.yaml")
        except OSError as error:
            raise disk_error(folder / "recipe.yaml", error) from error
