"""Comparisons: the statistics by hand, and which runs are made, used again, resumed and listed as failed."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from workbench.data import load_data
from workbench.detectors import build_detector, load_detector, save_detector
from workbench.errors import RecipeError, RunError
from workbench.evaluation import evaluate_detections, load_result
from workbench.training import Comparison, Recipe, Run, compare, launch, t_interval
from workbench.training.processes import detached, queue, slurm
from workbench.training.recipe_sections import TestSpec
from workbench.training.recording import fingerprint
from workbench.training.recording.fingerprint import EVALUATION, PACKAGE, TRAINING, code_fingerprint
from workbench.training.scoring import is_scored, score
from workbench.types import Detections

MODULE = importlib.import_module("workbench.training.compare")  # its name means the function
STAND_IN = Path(__file__).parents[1] / "support" / "stand_in"


def runs_of(**values: list[float]) -> Comparison:
    """A comparison with one AP per seed for each recipe; None stands for a failed run."""
    rows = []
    for recipe, aps in values.items():
        for seed, ap in enumerate(aps):
            error = "" if ap is not None else "<b>boom</b>"
            row = {"recipe": recipe, "seed": seed, "status": "done", "reused": False, "seconds": 1.0}
            rows.append({**row, "folder": "/runs/x", "error": error, "AP": math.nan if ap is None else ap})
    return Comparison(pd.DataFrame(rows))


def test_t_interval_by_hand():
    # mean 2, s = 1, n = 3: half = 4.302653 / sqrt(3)
    assert t_interval([1.0, 2.0, 3.0]) == pytest.approx((3, 2.0, 2 - 2.484138, 2 + 2.484138), abs=1e-6)
    # five values: t(0.975, 4) = 2.776445, s = sqrt(2.5)
    half = 2.776445 * math.sqrt(2.5) / math.sqrt(5)
    assert t_interval([1, 2, 3, 4, 5]) == pytest.approx((5, 3.0, 3 - half, 3 + half), abs=1e-6)


def test_one_value_has_no_interval_and_nan_does_not_count():
    n, mean, low, high = t_interval([0.5, math.nan])
    assert (n, mean) == (1, 0.5)
    assert math.isnan(low)
    assert math.isnan(high)
    assert t_interval([]).n == 0


def test_the_interval_covers_the_truth_in_95_of_100_samples():
    draws = np.random.default_rng(0).normal(3.0, 2.0, size=(4000, 5))
    covered = [low <= 3.0 <= high for _, _, low, high in map(t_interval, draws)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.012)  # ± 3.5 standard errors


def test_differences_are_paired_by_seed():
    # Seeds differ by far more than the recipes do; the differences are 1, 2, 3.
    table = runs_of(base=[10.0, 50.0, 90.0], other=[11.0, 52.0, 93.0]).table(["AP"])
    row = table.loc["AP", "other"]
    assert row["difference"] == pytest.approx(2.0)
    assert row["difference_low"] == pytest.approx(2 - 2.484138, abs=1e-6)
    assert row["difference_high"] == pytest.approx(2 + 2.484138, abs=1e-6)
    assert row["high"] - row["low"] > 100
    assert math.isnan(table.loc[("AP", "base"), "difference"])


def test_two_recipes_are_held_against_each_other_by_name():
    assert runs_of(a=[1.0, 2.0], b=[2.0, 2.0, 3.0], c=[4.0, 1.0]).difference("AP", "c", "b") == t_interval(
        [2.0, -1.0]
    )


def test_a_failed_run_leaves_its_pair_out_and_is_listed():
    comparison = runs_of(base=[0.1, 0.2, None], other=[0.3, None, 0.7])
    row = comparison.table().loc["AP", "other"]
    assert (row["n"], row["mean"], row["pairs"]) == (2, 0.5, 1)
    assert row["difference"] == pytest.approx(0.2)
    assert math.isnan(row["difference_low"])
    assert comparison.failures["seed"].tolist() == [2, 1]
    assert "2 of 6 runs gave no result" in repr(comparison)
    assert "<b>" not in comparison._repr_html_()


def test_a_comparison_of_nothing_but_failures_can_be_read():
    comparison = runs_of(base=[None], other=[None])
    for some in (comparison, Comparison(comparison.frame().drop(columns="AP"))):
        assert some.table().empty
        assert "2 of 2 runs gave no result" in repr(some)
        assert "boom" in some._repr_html_()


def test_text_shows_mean_half_interval_and_difference():
    text = runs_of(base=[1.0, 2.0, 3.0], other=[2.0, 4.0, 6.0]).text()
    assert text.loc["base", "AP"] == "2.000 ± 2.484"
    assert text.loc["other", "AP"] == "4.000 ± 4.968 (+2.000 [-0.484, +4.484])"
    assert runs_of(base=[0.5], other=[0.75]).text().loc["other", "AP"] == "0.750 (+0.250)"


def test_nothing_of_it_is_cut(capsys):
    name = "a-recipe-of-a-name-that-is-longer-than-most/" * 3
    comparison = runs_of(**{"base": [1.0, 2.0], name: [2.0, 3.0]})
    with pd.option_context("display.width", 40, "display.max_columns", 1, "display.max_colwidth", 20):
        for text in (repr(comparison), repr(comparison.text()), comparison._repr_html_()):
            assert name in text
            assert "1.500 ± 6.353" in text
            assert "..." not in text
            assert "…" not in text


def test_some_recipes_against_another_first_one():
    comparison = runs_of(a=[1.0, 2.0], b=[2.0, 4.0], c=[5.0, 6.0]).only("c", "a")
    assert comparison.recipes == ["c", "a"]
    assert comparison.table(["AP"]).loc[("AP", "a"), "difference"] == -4
    with pytest.raises(RunError, match="there is no recipe 'd'; known are c, a"):
        comparison.only("a", "d")


def test_a_comparison_can_be_kept_as_a_file(tmp_path):
    comparison = runs_of(base=[0.1, None], other=[1 / 3, 0.2])
    again = Comparison.load(comparison.save(tmp_path / "comparison.json"))
    without = [name for name in comparison.frame().columns if name != "folder"]
    pd.testing.assert_frame_equal(again.frame()[without], comparison.frame()[without])
    assert "/" not in "".join(again.frame()["folder"]), "the file can be given away"
    pd.testing.assert_frame_equal(again.table(), comparison.table())
    for content in ("[1]", "[" * 100_000):
        (tmp_path / "other.json").write_text(content)
        with pytest.raises(RunError, match="no saved comparison"):
            Comparison.load(tmp_path / "other.json")


def test_recall_of_what_the_runs_propose(tmp_path):
    """Columns besides the others, equal to what proposal_recall says of the run's detector; kept by `save`."""
    from workbench.evaluation import proposal_recall
    from workbench.proposals import with_proposals

    data = load_data("digit-scenes", split="test", length=3)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder, sizes in zip(folders, ([16.0, 24, 48], [40.0, 40, 40]), strict=True):
        torch.manual_seed(0)
        small = {"kind": "faster-rcnn", "backbone": {"name": "small", "widths": [8, 8, 8]}, "min_size": None,
                 "anchor_sizes": [[size] for size in sizes]}  # fmt: skip
        save_detector(build_detector(small, tuple("0123456789")), folder / "detector.safetensors")
    comparison = runs_of(base=[0.1, 0.2, None])
    comparison.runs["folder"] = [*map(str, folders), "/nowhere"]
    got = comparison.with_proposal_recall(data, scale=0.5, progress=False)
    for row, folder in enumerate(folders):
        given = with_proposals(data, kind="detector", name=folder, top=1000, cache=tmp_path / "cache")
        want = proposal_recall(given, scale=0.5).summary
        assert {name: got.runs.loc[row, f"proposals_{name}"] for name in want} == pytest.approx(want, nan_ok=True)
    first, second, failed = got.runs["proposals_AR1k"]
    assert first != second
    assert math.isnan(failed)
    assert "proposals_AR100" not in comparison.runs, "the given one stays as it is"
    again = Comparison.load(got.save(tmp_path / "kept.json"))
    assert again.table(["AP", "proposals_AR1k"]).loc[("proposals_AR1k", "base"), "n"] == 2
    with pytest.raises(RunError, match=r"the run one is not there.*before save"):
        again.with_proposal_recall(data)


def test_proposals_are_compared_by_recall_where_there_are_no_detections():
    """Detections have an AR100, too, which is another figure."""
    comparison = runs_of(base=[0.1, 0.2], other=[0.3, 0.5])
    own = {"AR100": [0.2, 0.4, 0.3, 0.7], "AR100_occluded": 0.1, "AUC": 0.2, "AR1k": 0.5, "mask_AUC": math.nan}
    runs = comparison.frame().assign(**own)
    assert list(Comparison(runs).text().columns) == ["AP"]
    proposed = Comparison(runs.drop(columns="AP"))
    assert list(proposed.text().columns) == ["AR100", "AR100_occluded", "AUC"]
    row = proposed.table().loc["AR100", "other"]
    assert (row["mean"], row["difference"]) == pytest.approx((0.5, 0.2))
    assert row["difference_low"] < 0.2 < row["difference_high"]


def test_what_is_hidden_is_shown_beside_ap_but_not_each_kind_of_occluder():
    runs = runs_of(base=[0.1, 0.2], other=[0.3, 0.5]).frame()
    more = {"audit_recall_50": [0.2, 0.4, 0.5, 0.8], "audit_recall_50_grey": 0.5, "audit_AP_50": 0.1}
    more |= {"regions_accuracy_36": [0.4, 0.5, 0.5, 0.7], "regions_p_object_0.3-0.5": 0.1}
    comparison = Comparison(runs.assign(**more))
    assert list(comparison.text().columns) == ["AP", "audit_recall_50", "regions_accuracy_36"]
    row = comparison.table().loc["regions_accuracy_36", "other"]
    assert (row["mean"], row["difference"], row["pairs"]) == pytest.approx((0.6, 0.15, 2))
    assert comparison.table(["audit_recall_50_grey"]).loc[("audit_recall_50_grey", "base"), "mean"] == 0.5


def test_a_test_under_occluders_is_scored_once(tmp_path):
    """The figures come from the run's result, which is made anew when the test asks for something else."""
    detector = load_detector("digit-scenes/faster-rcnn")

    class Done:
        folder, recipe = tmp_path, Recipe.load("digit-scenes/faster-rcnn").replace(device="cpu")
        result = property(lambda self: load_result(tmp_path / "result.json"))
        fingerprints: dict = {}  # noqa: RUF012

        def detector(self):
            return detector

    few = {"kinds": ["grey"], "fractions": [0.5]}
    test = TestSpec(name="digit-scenes", limit=3, regions=few)
    run, code = Done(), code_fingerprint(EVALUATION)
    score(run, test)
    assert "regions_accuracy_50" in run.result.summary
    assert is_scored(run, test, code)
    assert not is_scored(run, test.model_copy(update={"audit": few}), code)
    assert not is_scored(run, test.model_copy(update={"regions": None}), code)


def test_an_unknown_metric_is_refused():
    with pytest.raises(RunError, match="no metric 'mAP'; known are AP"):
        runs_of(base=[0.1]).table(["mAP"])


def test_what_decides_is_in_the_code_fingerprint_and_what_lists_is_not():
    for parts in (TRAINING, EVALUATION):
        names = {path.relative_to(PACKAGE).as_posix() for path in fingerprint._sources(parts)}
        assert {"registry.py", "options.py", "types.py", "detectors/faster_rcnn.py"} <= names
    training = {path.relative_to(PACKAGE).as_posix() for path in fingerprint._sources(TRAINING)}
    assert {"training/stepping/training.py", "training/recipe.py"} <= training
    assert not {"training/recipe_listing.py", "training/run.py"} & training
    missing = [name for name in fingerprint.NOT_DECISIVE if not (PACKAGE / "training" / f"{name}.py").is_file()]
    assert missing == []


def test_the_code_fingerprint_sees_code_but_not_comments(tmp_path, monkeypatch):
    from workbench.training.recording import fingerprint

    def of(source: str) -> str:
        (tmp_path / "losses").mkdir(exist_ok=True)
        (tmp_path / "losses" / "focal.py").write_text(source)
        fingerprint._essence.cache_clear()
        return code_fingerprint(("losses",))

    assert len(code_fingerprint()) == 16
    monkeypatch.setattr(fingerprint, "PACKAGE", tmp_path)
    plain = of("def loss(x):\n    return x * 2\n")
    assert of('"""Doc."""\n\ndef loss(x):\n    "Twice."\n    return (x * 2)  # why\n') == plain
    assert of("def loss(x):\n    return x * 3\n") != plain
    assert PACKAGE.name == "workbench"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A saved result of a detector that finds nothing in two scenes."""
    data = load_data("digit-scenes", split="test", length=2)
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    path = tmp_path / "template.json"
    evaluate_detections([nothing] * 2, data).save(path)
    return path


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch, template: Path) -> list[Recipe]:
    """Two recipes whose trainings are pretended: AP 0.5 and 0.6, and 0.01 more with each seed."""
    monkeypatch.setattr(detached, "SOURCES", STAND_IN)
    for module in (
        MODULE,
        importlib.import_module("workbench.training.processes.starting"),
    ):  # the code may change meanwhile
        monkeypatch.setattr(module, "code_fingerprint", lambda parts=TRAINING: "fingerprint of " + parts[-1])
    common = {
        "data": {"name": "digit-scenes"}, "test": {"name": "digit-scenes", "limit": 2}, "device": "cpu",
        "detector": {"kind": "faster-rcnn"}, "stages": [{"steps": 2, "lr": 1.0}],
    }  # fmt: skip
    base = Recipe.from_dict({**common, "name": "base", "notes": {"result": str(template), "ap": 0.5}})
    changed = {"name": "other", "optimizer.kind": "sgd", "notes.ap": 0.6}
    return [base, base.replace(changed)]


def test_runs_are_made_then_used_again(tmp_path, recipes):
    runs = tmp_path / "runs"
    comparison = compare(recipes, seeds=2, folder=runs, progress=False)
    frame = comparison.frame()
    assert frame[["recipe", "seed"]].values.tolist() == [["base", 0], ["base", 1], ["other", 0], ["other", 1]]
    assert frame["AP"].tolist() == pytest.approx([0.5, 0.51, 0.6, 0.61])
    assert not frame["reused"].any()
    assert comparison.table().loc[("AP", "other"), "difference"] == pytest.approx(0.1)
    more = compare(recipes, seeds=3, folder=runs, progress=False).frame()
    assert more["reused"].tolist() == [True, True, False, True, True, False]
    assert more["folder"][:2].tolist() == frame["folder"][:2].tolist()
    assert len(list(runs.iterdir())) == 6


def test_a_run_of_other_code_or_another_recipe_is_not_used(tmp_path, recipes, monkeypatch):
    runs = tmp_path / "runs"
    launch(recipes[0], runs / "mine").wait(20)
    found = compare(recipes[:1], seeds=1, folder=runs, progress=False).frame()
    assert found["folder"].tolist() == [str(runs / "mine")]  # whatever its name is
    record = json.loads((runs / "mine" / "proc.json").read_text())
    record["fingerprints"]["training"] = "0123456789abcdef"
    (runs / "mine" / "proc.json").write_text(json.dumps(record))
    assert compare(recipes[:1], seeds=1, folder=runs, progress=False).frame()["reused"].tolist() == [False]
    longer = recipes[0].replace({"stages.0.steps": 3})
    assert compare([longer], seeds=1, folder=runs, progress=False).frame()["reused"].tolist() == [False]
    renamed = recipes[0].replace(name="another name")
    assert compare([renamed], seeds=1, folder=runs, progress=False).frame()["reused"].tolist() == [True]


def test_an_evaluation_writes_through_no_link(tmp_path, recipes):
    runs, precious = tmp_path / "runs", tmp_path / "precious"
    precious.write_text("years of work")
    launch(recipes[0], runs / "mine").wait(20)
    (runs / "mine" / "result.json").unlink(missing_ok=True)
    (runs / "mine" / "scoring.txt").symlink_to(precious)
    compare(recipes[:1], seeds=1, folder=runs, progress=False)
    assert (runs / "mine" / "scoring.txt").is_file()
    assert not (runs / "mine" / "scoring.txt").is_symlink()
    assert precious.read_text() == "years of work"


def test_an_interruption_stops_the_runs_and_calling_again_goes_on(tmp_path, recipes, monkeypatch):
    slow = [recipe.replace({"stages.0.steps": 60, "notes.step": 0.05}) for recipe in recipes]
    runs = tmp_path / "runs"
    patient = MODULE.wait

    def interrupt(pending: set, **_: object) -> None:
        ready = threading.Event()
        while sum((path.parent / "metrics.jsonl").is_file() for path in runs.glob("*/proc.json")) < 2:
            ready.wait(0.02)
        raise KeyboardInterrupt

    monkeypatch.setattr(MODULE, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compare(slow, seeds=2, folder=runs, workers=2, progress=False)
    left = [Run.open(path) for path in runs.iterdir()]
    assert [run.status for run in left] == ["stopped", "stopped"]  # the two others were never started
    monkeypatch.setattr(MODULE, "wait", patient)
    frame = compare(slow, seeds=2, folder=runs, workers=4, progress=False).frame()
    assert frame["status"].tolist() == ["done"] * 4
    assert len(list(runs.iterdir())) == 4
    assert left[0].metrics()["step"].tolist() == list(range(1, 61))


def test_on_a_cluster_all_runs_are_queued_and_what_they_give_is_compared(tmp_path, recipes, monkeypatch):
    """The jobs of this cluster run the stand-in for the trainer while they are submitted."""
    jobs = []

    def submit(submitted: list[slurm.Job], **_: object) -> list[str]:
        jobs.append(submitted)
        for job in submitted:
            command = [sys.executable, "-m", "workbench.training.trainer", job.folder]
            environment = {**os.environ, **detached.variables(1)}
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        return [f"7_{task}" for task in range(len(submitted))]

    monkeypatch.setattr(slurm, "submit", submit)
    monkeypatch.setattr("workbench.training.places.JOBS", queue.Queue(lambda: ""))
    place = {"place": "slurm", "cpus": 6}
    frame = compare(recipes, seeds=2, folder=tmp_path / "runs", on=place, progress=False).frame()
    assert frame["status"].tolist() == ["done"] * 4
    assert frame["AP"].notna().all()
    assert [[job.threads for job in array] for array in jobs] == [[6] * 4]
    again = compare(recipes, seeds=2, folder=tmp_path / "runs", on=place, progress=False).frame()
    assert again["reused"].all()
    assert len(jobs) == 1
    with pytest.raises(RunError, match="1 processes cannot be divided over 2 nodes"):
        compare(recipes, seeds=2, folder=tmp_path / "runs", on={"nodes": 2}, progress=False)


def test_failures_are_listed_and_do_not_stop_the_others(tmp_path, recipes):
    bad = recipes[1].replace({"name": "bad", "seed": 0, "notes.fail": "error", "schedule.kind": "constant"})
    dying = recipes[1].replace({"name": "dying", "notes.fail": "crash", "schedule.gamma": 0.5})
    comparison = compare([recipes[0], bad, dying], seeds=1, folder=tmp_path / "runs", progress=False)
    assert comparison.frame()["status"].tolist() == ["done", "failed", "failed"]
    assert comparison.failures["error"].tolist()[0] == "the loss is not finite at step 3"
    assert "ended before it could say why" in comparison.failures["error"].tolist()[1]
    assert comparison.table().loc[("AP", "bad"), "n"] == 0
    logs = [path / "log.txt" for path in sorted((tmp_path / "runs").iterdir())]
    starts = [path.read_text().count("rank 0") for path in logs]
    compare([recipes[0], bad, dying], seeds=1, folder=tmp_path / "runs", progress=False)
    again = [path.read_text().count("rank 0") - before for path, before in zip(logs, starts, strict=True)]
    assert again == [0, 0, 1]  # base, bad, dying: only what may go better is tried again


def test_other_test_data_are_evaluated_once_without_training_again(tmp_path, recipes, monkeypatch):
    runs = tmp_path / "runs"
    compare(recipes[:1], seeds=1, folder=runs, progress=False)
    scored = []

    def score(job, run, environment, interrupted):
        scored.append(job.test.limit)
        run.folder.joinpath("result-source.json").write_text(
            json.dumps({"test": job.test.model_dump(mode="json"), "code": "fingerprint of evaluation"})
        )

    monkeypatch.setattr(MODULE.Job, "_score", score)
    for _ in range(2):
        test = {"name": "digit-scenes", "limit": 1}
        frame = compare(recipes[:1], seeds=1, folder=runs, test=test, progress=False).frame()
        assert frame["reused"].tolist() == [True]
    assert scored == [1]


def test_scoring_a_run_keeps_what_the_result_was_made_from(tmp_path):
    small = {"kind": "faster-rcnn", "backbone": {"name": "small"}, "min_size": None}
    data = {"name": "digit-scenes", "options": {"length": 2}}
    content = {"data": data, "detector": small, "stages": [{"steps": 1, "lr": 1.0}], "device": "cpu"}
    Recipe.from_dict(content).save(tmp_path / "recipe.yaml")
    save_detector(build_detector(small, tuple("0123456789")), tmp_path / "detector.safetensors")
    run, code = Run.open(tmp_path), code_fingerprint(EVALUATION)
    one, two = (TestSpec(name="digit-scenes", limit=limit) for limit in (1, 2))
    assert not is_scored(run, one, code)
    score(run, one)
    assert run.result.num_images == 1
    assert is_scored(run, one, code)
    assert not is_scored(run, two, code)
    assert not is_scored(run, one, "other code")


def test_a_detector_that_cannot_be_evaluated_is_a_failure(tmp_path, recipes):
    untested = recipes[0].replace({"test": None, "notes": {}})
    test = {"name": "digit-scenes", "limit": 1}
    frame = compare([untested.replace(test=test)], seeds=1, folder=tmp_path, progress=False).frame()
    # the stand-in leaves no weights behind, so the (stand-in) evaluation ends with an error
    assert frame["status"].tolist() == ["done"]
    assert frame["error"].tolist()[0].startswith("the evaluation failed")


def test_what_cannot_be_compared_is_refused(tmp_path, recipes):
    with pytest.raises(RecipeError, match="several recipes are named 'base'"):
        compare([recipes[0], recipes[0]], folder=tmp_path)
    with pytest.raises(RecipeError, match="no test data"):
        compare([recipes[0].replace(test=None)], folder=tmp_path)
    with pytest.raises(RecipeError, match="nothing to compare"):
        compare(recipes, seeds=0, folder=tmp_path)
    with pytest.raises(RecipeError, match="seed"):
        compare(recipes, seeds=[-1], folder=tmp_path)
    for seeds in ("3", 1.5, None):
        with pytest.raises(RecipeError, match=f"seeds is {seeds!r}; expected how many, or a list of seeds"):
            compare(recipes, seeds=seeds, folder=tmp_path)
    for workers in (0, "2", 1.5):
        with pytest.raises(RunError, match=f"at least 1, got {workers!r}"):
            compare(recipes, workers=workers, folder=tmp_path)


def test_cores_are_shared_among_the_runs(recipes, monkeypatch):
    plan = MODULE.plan
    monkeypatch.setattr(detached, "available_cores", lambda: 8)
    threads = lambda jobs: {job.recipe.threads for job in jobs}  # noqa: E731
    assert threads(plan(recipes, range(5), None)) == {1}  # ten runs on eight cores
    assert threads(plan(recipes, range(1), None)) == {4}  # two runs
    assert threads(plan(recipes, range(5), 3)) == {2}
    own = [recipe.replace(threads=3) for recipe in recipes]
    assert threads(plan(own, range(5), None)) == {3}
    assert [job.recipe.seed for job in plan(recipes, [4, 2], None)] == [4, 4, 2, 2]


def test_one_recipe_is_no_list():
    with pytest.raises(RecipeError, match=r"compare takes a list of recipes, and 'digit-scenes/faster-rcnn' is one"):
        compare("digit-scenes/faster-rcnn", seeds=1)
    with pytest.raises(RecipeError, match=r"compare trains recipes, and int is none; .*side_by_side compares"):
        compare([3], seeds=1)
