"""The command line: each verb does what the library does, and errors are one line."""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from workbench.__main__ import _names, build_parser, main
from workbench.detectors import build_detector, save_detector
from workbench.evaluation import AuditReport, Result, load_result
from workbench.training import Recipe, Run
from workbench.training.processes import detached
from workbench.training.processes.record import Record
from workbench.training.recipe_listing import listing

SUPPORT = Path(__file__).parent / "support"
STAND_IN = SUPPORT / "stand_in"
#: Tests may run where these are ignored.
SIGNALS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""
FOLLOWS = f"""
import sys
from pathlib import Path
from workbench.__main__ import main
from workbench.training.processes import detached
detached.SOURCES = Path({str(STAND_IN)!r})
slow = ["--set", "notes.step=0.05", "--set", "stages.0.steps=1000"]
sys.exit(main(["train", sys.argv[1], "--folder", sys.argv[2], *slow]))
"""
SMALL = {"kind": "faster-rcnn", "backbone": {"name": "small"}, "min_size": None}


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe file of three pretended steps; runs go to the test's folder."""
    monkeypatch.setattr(detached, "SOURCES", STAND_IN)
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    content = {
        "name": "try",
        "data": {"name": "digit-scenes"},
        "detector": SMALL,
        "stages": [{"steps": 3, "lr": 1}],
    }
    return str(Recipe.from_dict(content).save(tmp_path / "recipe.yaml"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of untrained weights."""
    torch.manual_seed(0)
    detector = build_detector(SMALL, tuple("0123456789"))
    return str(save_detector(detector, tmp_path_factory.mktemp("weights") / "tiny.safetensors"))


def test_the_module_offers_the_verbs_of_the_library():
    shown = subprocess.run([sys.executable, "-m", "workbench", "--help"], capture_output=True, text=True, check=True)
    for verb in ("train", "extend", "evaluate", "audit", "detect", "compare", "runs", "recipes", "doctor"):
        assert f"\n    {verb} " in shown.stdout


@pytest.mark.parametrize(
    "line",
    [
        "runs list {folder}",
        "train wrong-name",
        "recipes",
        "recipes digit-scenes/mask-rcnn --all",
        "recipes wrong-name",
        "doctor wrong-name",
        "doctor --data wrong-name",
        "evaluate wrong-name --data digit-scenes",
        "detect wrong-name image.png",
    ],
)
def test_names_are_looked_at_before_torch_is_imported(line, recipe, tmp_path):
    (tmp_path / "runs" / "one").mkdir(parents=True)
    shutil.copy(recipe, tmp_path / "runs" / "one" / "recipe.yaml")
    code = (
        "import sys\nfrom workbench.__main__ import main\ncode = main(sys.argv[1:])\n"
        "heavy = {'torch', 'torchvision', 'pandas', 'scipy', 'matplotlib', 'skimage', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else code)"
    )
    arguments = line.format(folder=tmp_path / "runs").split()
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    if "wrong-name" not in line:
        assert ended.returncode == 0, ended.stderr
        assert ("0/3" if "runs" in line else "digit-scenes/faster-rcnn") in ended.stdout
    else:
        assert ended.returncode == 2, ended.stderr
        assert "there is no" in ended.stderr or "does not exist" in ended.stderr


def test_every_option_is_explained():
    def parsers(parser):
        yield parser
        for action in parser._actions:
            for below in action.choices.values() if isinstance(action, argparse._SubParsersAction) else ():
                yield from parsers(below)

    for parser in parsers(build_parser()):
        for action in parser._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction), (parser.prog, action.dest)


def test_nothing_heavy_is_imported_before_a_verb_is_known():
    tree = ast.parse(Path(sys.modules["workbench.__main__"].__file__).read_text())
    imported = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert imported <= {
        *sys.stdlib_module_names,
        "collections.abc",
        "workbench.errors",
        "workbench.files",
        "workbench.plugins",
    }


def test_train_follows_the_run_to_its_end(recipe, tmp_path, capsys):
    arguments = [
        "train",
        recipe,
        "--folder",
        str(tmp_path / "run"),
        "--seed",
        "4",
        "--set",
        "stages.0.steps=5",
    ]
    assert main(arguments) == 0
    assert "done: 5 of 5 steps" in capsys.readouterr().out
    run = Run.open(tmp_path / "run")
    assert (run.recipe.seed, run.recipe.steps) == (4, 5)


def test_train_detached_returns_at_once(recipe, capsys):
    assert main(["train", recipe, "--detach", "--set", "notes={step: 0.2}"]) == 0
    run = Run.open(capsys.readouterr().out.strip())
    assert run.alive
    assert run.wait(20) == "done"


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_ends_the_command_ends_the_followed_run_in_order(recipe, tmp_path, sent):
    """As batch systems, users and closed terminals do."""
    command = [sys.executable, "-u", "-W", "ignore", "-c", SIGNALS + FOLLOWS, recipe, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout.readline().strip() == str(tmp_path / "run")
        run = Run.open(tmp_path / "run")
        while run.status != "running":
            time.sleep(0.02)
        process.send_signal(sent)
        assert process.wait(30) == 128 + sent
        assert process.stdout.read().startswith("stopped: ")
    assert run.status == "stopped"
    assert "stopped in an orderly way" in run.log()


def test_a_command_that_outlives_its_terminal_follows_on(recipe, tmp_path):
    """`nohup` has it ignore the signal of a closed terminal."""
    command = ["nohup", sys.executable, "-u", "-W", "ignore", "-c", FOLLOWS, recipe, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        process.stdout.readline()
        run = Run.open(tmp_path / "run")
        while run.status != "running":
            time.sleep(0.02)
        process.send_signal(signal.SIGHUP)
        (run.folder / "hurry").touch()
        assert process.wait(30) == 0
    assert run.status == "done"


@pytest.mark.parametrize("verb", ["train", "compare"])
def test_a_real_training_is_ended_with_a_checkpoint_and_leaves_no_process(tmp_path, monkeypatch, verb):
    from tiny_detector import tiny_recipe

    monkeypatch.setenv("WORKBENCH_PLUGINS", str(SUPPORT / "tiny_detector.py"))
    monkeypatch.setenv("TINY_SECONDS", "0.05")
    tiny = {"stages.0.steps": 2_000, "checkpoint_every": 2_000, "workers": 1, "test": {"name": "tiny"}}
    recipe, folder = tiny_recipe(tiny).save(tmp_path / "tiny.yaml"), tmp_path / "runs" / "run"
    where = {"train": ["--folder", str(folder)], "compare": ["--folder", str(folder.parent), "--seeds", "1"]}[verb]
    with subprocess.Popen([sys.executable, "-m", "workbench", verb, str(recipe), *where]) as process:
        while not (rows := [*folder.parent.glob("*/metrics.jsonl")]) or not rows[0].read_bytes():
            assert process.poll() is None
            time.sleep(0.05)
        record = Record.read(rows[0].parent)
        assert len(detached.members(record)) == 2, "the trainer and its loader"
        process.terminate()
        assert process.wait(60) == 143
    assert detached.members(record) == []
    run = Run.open(rows[0].parent)
    assert run.status == "stopped"
    step, _ = run.checkpoints[-1]
    assert 2 <= step < 2_000
    assert step >= run.metrics()["step"].max()


def test_an_output_that_cannot_be_written_is_said_first(weights, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    bad = str(tmp_path / "file" / "x")
    for arguments in (
        ["evaluate", str(weights), "--data", "digit-scenes", "--limit", "1", "--save", bad],
        ["compare", "dfv/digits-c", "--seeds", "1", "--save", bad],
        ["compare", "dfv/digits-c", "--seeds", "1", "--folder", bad],
        ["detect", str(weights), "no-such.png", "--out", bad],
    ):
        assert main(arguments) == 2
        assert f"{bad}" in (said := capsys.readouterr()).err
        assert "cannot be written: " in said.err
        assert said.out == ""
    assert not list(tmp_path.rglob("proc.json"))


def test_a_strangers_folder_is_resumed_by_the_users_word(recipe, tmp_path, capsys):
    run = ["train", recipe, "--folder", str(tmp_path / "run")]
    assert main(run) == 0
    (tmp_path / "run" / "done.json").unlink()
    record = json.loads((tmp_path / "run" / "proc.json").read_text())
    (tmp_path / "run" / "proc.json").write_text(json.dumps(record | {"environment": {"LD_PRELOAD_": "x"}}))
    capsys.readouterr()
    for again in (["runs", "resume", str(tmp_path / "run")], [*run, "--resume"]):
        assert main(again) == 2
        assert "variable LD_PRELOAD_='x'" in capsys.readouterr().err
    assert main(["runs", "resume", str(tmp_path / "run"), "--trust"]) == 0


def test_a_run_that_fails_gives_exit_code_1(recipe, capsys):
    assert main(["train", recipe, "--set", "notes.fail=error"]) == 1
    assert "failed: the loss is not finite at step 3" in capsys.readouterr().out


def test_runs_are_listed_shown_stopped_resumed_and_logged(recipe, capsys):
    assert main(["runs"]) == 0
    assert "no runs in" in capsys.readouterr().out
    main(["train", recipe, "--detach", "--set", "notes.step=0.1", "--set", "stages.0.steps=20"])
    name = Path(capsys.readouterr().out.strip()).name
    assert main(["runs", "stop", name]) == 0
    assert capsys.readouterr().out == "stopped\n"
    assert main(["runs", "resume", name]) == 0
    assert "done: 20 of 20 steps" in capsys.readouterr().out
    for arguments in (["runs"], ["runs", "list"]):
        assert main(arguments) == 0
        assert capsys.readouterr().out.split() == ["done", "20/20", name]
    assert main(["runs", "show", name]) == 0
    assert "train: step 20, lr 0.001, loss 0.05" in capsys.readouterr().out
    assert main(["runs", "log", name, "-n", "1"]) == 0
    assert capsys.readouterr().out.startswith("rank 0")


def test_a_finished_run_is_extended(recipe, capsys):
    main(["train", recipe, "--detach", "--set", "notes.step=0.1", "--set", "stages.0.steps=20"])
    name = Path(capsys.readouterr().out.strip()).name
    assert main(["extend", name, "--steps", "2"]) == 2
    assert "only a run that is done can be extended" in capsys.readouterr().err
    assert main(["runs", "stop", name]) == 0
    assert main(["runs", "resume", name]) == 0
    assert main(["extend", name, "--steps", "4", "--set", "lr=0.5"]) == 0
    assert "done: 24 of 24 steps" in capsys.readouterr().out
    [first, second] = Run.open(Path(recipe).parent / "runs" / name).recipe.stages
    assert (first.lr, second.lr, second.steps) == (1, 0.5, 4)
    assert main(["extend", name, "--steps", "4", "--set", "rate=0.5"]) == 2
    assert "stages.2.rate: unknown key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "no/such"], "there is no recipe 'no/such'"),
        (["recipes", "fpn/digit"], "there is no recipe 'fpn/digit'; did you mean 'fpn/digits'?"),
        (["recipes", "*no-such*"], "there is no recipe '*no-such*'"),
        (["train", "RECIPE", "--set", "stages.0.stepz=5"], "stepz: unknown key"),
        (["train", "RECIPE", "--set", "seed"], "expected KEY=VALUE, got 'seed'"),
        (["train", "RECIPE", "--set", "seed=[1"], "seed: '[1' is not a value"),
        (["train", "RECIPE", "--set", "seed=2020-99-99"], "seed: Input should be a valid integer, unable to parse"),
        (["train", "RECIPE", "--on", "nowhere"], "there is no place 'nowhere'"),
        (["train", "RECIPE", "--on", "slurm", "--at", "node=2"], "unknown key 'node'; did you mean 'nodes'?"),
        (["train", "RECIPE", "--at", "nodes=2"], "--at changes a place: name one by --on"),
        (["runs", "show", "nothing"], "holds no run"),
        (["evaluate", "nothing", "--data", "digit-scenes", "--limit", "1"], "there is no detector 'nothing'"),
        (["evaluate", "WEIGHTS", "--data", "no-such-data"], "no-such-data"),
        (["evaluate", "WEIGHTS", "--data", "digit-scenes", "--device", "abacus"], "abacus"),
        (["detect", "WEIGHTS", "no-such.png"], "no-such.png: this image does not exist"),
        (["doctor"], "the doctor examines one thing"),
    ],
)
def test_an_error_is_one_message_without_traceback(recipe, weights, capsys, arguments, message):
    named = {"RECIPE": recipe, "WEIGHTS": weights}
    assert main([named.get(argument, argument) for argument in arguments]) == 2
    message_shown = capsys.readouterr().err
    assert message_shown.startswith("workbench: ")
    assert message in message_shown
    assert "Traceback" not in message_shown


def test_evaluate_prints_and_saves_every_figure(weights, tmp_path, capsys):
    path = tmp_path / "result.json"
    arguments = [
        "evaluate",
        weights,
        "--data",
        "digit-scenes",
        "--option",
        "length=5",
        "--limit",
        "2",
        "--device",
        "cpu",
    ]
    assert main([*arguments, "--save", str(path)]) == 0
    printed = capsys.readouterr().out
    result = Result.load(path)
    assert result.num_images == 2
    for name in result.summary:
        assert f"{name} " in printed


def test_audit_prints_the_summary_and_writes_page_and_report(weights, tmp_path, capsys):
    page, file = tmp_path / "audit.html", tmp_path / "audit.json"
    few = ["--kinds", "grey", "--places", "random", "--fractions", "0.5", "--search", "--corruptions"]
    arguments = ["audit", weights, "digit-scenes/faster-rcnn", "--data", "digit-scenes", "--limit", "1", *few]
    arguments += ["--device", "cpu", "--folder", str(tmp_path / "parts")]
    assert main([*arguments, "--save", str(page), "--save", str(file)]) == 0
    said = capsys.readouterr().out
    assert "recall_50" in said
    assert "exact to the pixel" in said
    report = AuditReport.load(file)
    assert report.detectors == (weights, "digit-scenes/faster-rcnn")
    assert [one.name for one in report.conditions] == ["clean", "grey 50 % random"]
    assert page.read_text().startswith("<!doctype html>")
    assert len(list((tmp_path / "parts").glob("image-*.json"))) == 1
    assert main([*arguments, "--fractions", "0.6"]) == 2, "another audit cannot go on in that folder"
    assert "parts of another audit" in capsys.readouterr().err
    assert main([*arguments, "--save", str(tmp_path / "audit.csv")]) == 2
    assert main(["audit", weights, *arguments[1:]]) == 2
    assert "named twice" in capsys.readouterr().err


def test_evaluate_prints_the_recall_of_what_only_proposes(tmp_path, capsys):
    small = {"kind": "rpn", "backbone": {"name": "small"}, "min_size": None}
    path = save_detector(build_detector(small, tuple("0123456789")), tmp_path / "rpn.safetensors")
    arguments = ["evaluate", str(path), "--data", "digit-scenes", "--limit", "2", "--device", "cpu"]
    assert main([*arguments, "--save", str(tmp_path / "result.json")]) == 0
    printed, result = capsys.readouterr().out, load_result(tmp_path / "result.json")
    assert f"AR100 {result.summary['AR100']:.3f}" in printed
    for word in (*result.table().columns, *result.table().index):
        assert word in printed
    assert main([*arguments, "--iou-type", "segm"]) == 2
    assert "its proposals are boxes without masks" in capsys.readouterr().err


def test_detect_prints_json_and_draws(weights, tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    images = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        images.append(str(tmp_path / name / "photo.png"))
        Image.fromarray(pixels).save(images[-1])
    out = tmp_path / "drawn"
    assert main(["detect", weights, *images, "--score", "0.05", "--out", str(out), "--device", "cpu"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["image"] for line in lines] == images
    for found in lines[0]["objects"]:
        assert found["score"] >= 0.05
        x1, y1, x2, y2 = found["box"]
        assert 0 <= x1 <= x2 <= 60
        assert 0 <= y1 <= y2 <= 40
    assert sorted(path.name for path in out.iterdir()) == ["photo-1.png", "photo-2.png"]
    assert Image.open(out / "photo-1.png").size[0] > 60


OWN = """
import workbench as wb

def find(images):
    return [{"boxes": [[0, 0, 50, 40]], "labels": [1], "scores": [0.9]} for _ in images]

detector = wb.wrap(find, classes=["nought", "one"])
other = 3
"""


def test_a_file_of_ones_own_may_make_the_detector(tmp_path, capsys):
    """Its variable `detector`, or the one that is named; classes of other names are mapped."""
    (tmp_path / "own.py").write_text(OWN)
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "photo.png")
    assert main(["detect", str(tmp_path / "own.py"), str(tmp_path / "photo.png")]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["objects"] == [{"label": "one", "score": 0.9, "box": [0, 0, 50, 40]}]
    data = ["--data", "digit-scenes", "--limit", "2", "--device", "cpu"]
    named, renamed = f"{tmp_path / 'own.py'}:detector", ["--classes", "one=1", "--classes", "nought=0"]
    assert main(["evaluate", named, *data, *renamed, "--save", str(tmp_path / "r.json")]) == 0
    assert "The detector lacks" in capsys.readouterr().out
    assert Result.load(tmp_path / "r.json").found.labels.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("file", "more", "message"),
    [
        ("own.py", [], "none is the same. Say which are: classes="),
        ("own.py:detecter", [], "has no 'detecter'; did you mean 'detector'"),
        ("own.py:other", [], "a int is no detector"),
        ("own.py:find", [], "wb.wrap(it, classes=[...]) makes one"),
        ("none.py", [], "there is no file"),
        ("broken.py", [], "fails (ZeroDivisionError: division by zero)"),
        ("own.py", ["--classes", "one"], "--classes: expected ITS=DATA, such as tv=tvmonitor, got 'one'"),
        ("own.py", ["--classes", "two=1"], "the detector has no 'two'"),
    ],
)
def test_what_a_file_of_ones_own_lacks_is_one_message(file, more, message, tmp_path, capsys):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("1 / 0")
    arguments = ["evaluate", str(tmp_path / file), "--data", "digit-scenes", "--limit", "1", "--device", "cpu", *more]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("workbench: ")
    assert message in said


def test_fast_rcnn_gets_its_proposals(tmp_path, capsys, monkeypatch):
    """To be evaluated as asked for, of a shipped detector; to detect by selective search."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = {"kind": "fast-rcnn", "backbone": {"name": "small"}, "pyramid": True, "min_size": None}
    path = tmp_path / "fast.safetensors"
    save_detector(build_detector(config, tuple("0123456789")), path)
    asked = ["evaluate", str(path), "--data", "digit-scenes", "--limit", "2", "--device", "cpu"]
    assert main(asked) == 2
    assert "has no proposals" in capsys.readouterr().err
    assert main([*asked, "--proposals", "kind=detector", "--proposals", "name=digit-scenes/faster-rcnn"]) == 0
    assert "AP_occluded" in capsys.readouterr().out
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:30, 20:50] = 200
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    assert main(["detect", str(path), str(tmp_path / "photo.png"), "--score", "0", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["objects"]


def test_recipes_are_listed_by_folder_and_pattern(capsys):
    assert main(["recipes"]) == 0
    whole = capsys.readouterr().out
    assert all(f"  {name} " in whole for name in Recipe.shipped())
    assert (
        "\n\nmask-rcnn: 2\n  mask-rcnn/coco             Mask R-CNN (He et al. 2017) with ResNet-50-FPN on COCO"
        in whole
    )
    assert main(["recipes", "mask-rcnn"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "mask-rcnn:",
        "mask-rcnn/coco",
        "mask-rcnn/coco+copy-paste",
    ]
    assert main(["recipes", "*digits+gamma?"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == ["retinanet:", *(f"retinanet/digits+gamma{gamma}" for gamma in (0, 1, 5))]


def test_what_recipes_are_for_differs():
    notes = [line.split(None, 1)[1] for line in listing(Recipe.shipped()).splitlines() if line.startswith("  ")]
    assert len(notes) == len(Recipe.shipped()) > 0
    assert {note: number for note, number in Counter(notes).items() if number > 1} == {}


def test_one_recipe_is_shown_only_by_its_name(capsys):
    assert main(["recipes", "--own"]) == 2
    assert "--own and --all show one recipe: name it" in capsys.readouterr().err


def test_a_recipe_is_shown_with_its_bases_values_marked(capsys):
    assert main(["recipes", "digit-scenes/faster-rcnn+dropout"]) == 0
    shown = capsys.readouterr().out
    lines = {line.split(":")[0]: line for line in shown.splitlines()}
    assert lines["ema"].endswith("  # from digit-scenes/faster-rcnn")
    assert lines["hardener"] == "hardener: {kind: random-dropout, share: 0.2, drop: 0.33}"
    assert Recipe.from_dict(yaml.safe_load(shown)) == Recipe.load("digit-scenes/faster-rcnn+dropout")

    assert main(["recipes", "digit-scenes/faster-rcnn+dropout", "--own"]) == 0
    own = yaml.safe_load(capsys.readouterr().out)
    assert own.keys() == {"name", "base", "notes", "hardener"}


def test_the_doctor_examines_data_and_recipes(recipe, capsys):
    pytest.importorskip("workbench.training.preflight")
    assert main(["doctor", "--data", "digit-scenes", "--option", "length=3"]) == 0
    assert "digit-scenes" in capsys.readouterr().out
    assert main(["doctor", recipe, "--set", "data.options.length=3", "--set", "stages.0.lr=0.001"]) == 0


def test_every_verb_has_a_description():
    verbs = next(action for action in build_parser()._actions if action.dest != "help").choices
    assert all(parser.description for parser in verbs.values())


def test_detect_saves_what_is_found_in_a_data_set(tmp_path, capsys):
    """As COCO's results or VOC's files, from any score on unless one is asked for; both are scored again."""
    detector, data = "digit-scenes/faster-rcnn", ["--data", "digit-scenes", "--limit", "3", "--device", "cpu"]
    coco, voc = str(tmp_path / "all.json"), str(tmp_path / "voc")
    assert main(["detect", detector, *data, "--save", coco]) == 0
    assert capsys.readouterr().out.strip() == coco
    assert main(["detect", detector, *data, "--save", voc, "--score", "0.5"]) == 0
    scores = [entry["score"] for entry in json.loads(Path(coco).read_text())]
    lines = [line for path in Path(voc).iterdir() for line in path.read_text().splitlines()]
    assert 0 < len(lines) == sum(score >= 0.5 for score in scores) < len(scores)
    for results in (coco, voc):
        assert main(["evaluate", results, "--data", "digit-scenes", "--limit", "3"]) == 0
        assert "AP50" in capsys.readouterr().out
    for arguments in ([], ["photo.png", *data], [*data], ["photo.png", "--save", coco]):
        assert main(["detect", detector, *arguments]) == 2
        assert "give one of them" in (said := capsys.readouterr().err) or "belong together" in said


def test_an_ending_in_capitals_says_the_same(tmp_path):
    data, path = ["--data", "digit-scenes", "--limit", "1", "--device", "cpu"], tmp_path / "ALL.JSON"
    assert main(["detect", "digit-scenes/faster-rcnn", *data, "--save", str(path)]) == 0
    assert path.is_file()
    assert main(["evaluate", str(path), *data]) == 0


def test_pictures_of_equal_names_take_the_place_of_no_other():
    images = [Path(name) for name in ("a/x.png", "b/X.jpg", "c/x-1.png", "d/y.png", "e/x.png")]
    assert _names(images) == ["x-2", "X-3", "x-1", "y", "x-4"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "digit-scenes/faster-rcnn", "--set", "seed=1", "--set", "seed=2"], "seed is given twice"),
        (
            [
                "evaluate",
                "digit-scenes/faster-rcnn",
                "--data",
                "digit-scenes",
                "--classes",
                "a=0",
                "--classes",
                "a=1",
            ],
            "a class is given twice",
        ),
        (["evaluate", "digit-scenes/faster-rcnn", "--data", "digit-scenes", "--limit", "-3"], "expected at least 1"),
        (["compare", "digit-scenes/faster-rcnn", "--seeds", "0"], "expected at least 1, got 0"),
    ],
)
def test_what_is_said_twice_or_counts_nothing_is_refused(arguments, said, capsys):
    with contextlib.suppress(SystemExit):
        assert main(arguments) != 0
    assert said in capsys.readouterr().err


def test_names_of_anybody_do_not_move_the_cursor(tmp_path, capsys):
    folder = tmp_path / "\x1b[2J\nrun"
    folder.mkdir()
    Recipe.load("digit-scenes/faster-rcnn", trial=False).save(folder / "recipe.yaml")
    assert main(["runs", "list", str(tmp_path)]) == 0
    assert main(["runs", "show", str(folder)]) == 1, "it never began"
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "[2J" in said
