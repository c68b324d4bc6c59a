"""The library's verbs on the command line: `python -m workbench VERB ...`.

Exit codes: 0 all is well, 1 a run failed or the doctor found an error, 2 the request cannot be met (one line on
standard error says why), 128 and a signal's number for one that ended it (130 is Ctrl-C, 143 SIGTERM). Whatever ends
`train`, `extend`, `compare` or `runs resume`, also that the terminal is closed, stops what trains here with a
checkpoint; what trains at another place goes on. Each verb imports what it needs itself, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import DataError, RecipeError, RunError, WorkbenchError
from workbench.files import check_writable
from workbench.plugins import load_plug_ins, value_in

if TYPE_CHECKING:
    from workbench.training import Recipe, Run


AUDITS = "Hide objects, corrupt images, and say what detectors lose by it; they are compared on the same images."
DETECTS = (
    "Find objects in images; one JSON line per image. Fast R-CNN gets proposals by selective search. Or find the "
    "objects of a data set, annotated or not, and save them as servers take them."
)
NAMED = "shipped name, run folder, file of weights, or FILE.py[:NAME] that makes one (NAME: detector)"
TRUST = "load the plug-ins that the run's folder names, though somebody else wrote it or they have changed"
RUN = "folder of the run, or its name in the runs folder"
PROPOSALS = "of Fast R-CNN: kind=selective-search, kind=detector or kind=file; once more for each option, as name=..."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    options = build_parser().parse_args(arguments)
    try:
        load_plug_ins()
        with _ended_by(signal.SIGTERM, signal.SIGHUP):
            return options.verb(options)
    except BrokenPipeError:  # the reader, for instance `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        return 0
    except (WorkbenchError, OSError) as error:
        print(f"workbench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except _Ended as error:
        return 128 + error.number


class _Ended(BaseException):
    """A signal came that ends this command."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


@contextmanager
def _ended_by(*numbers: signal.Signals) -> Iterator[None]:
    """Raise _Ended when one of the signals comes, each once, so that what was started can be stopped in order.

    What is ignored stays so: `nohup` has a command outlive its terminal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        for each in heard:  # a second interruption waits for nothing
            signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_IGN)
        raise _Ended(number)

    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def build_parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    parser = argparse.ArgumentParser(prog="workbench", description="Detectors that survive occlusion.")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    verbs_first = (_add_train, _add_extend, _add_evaluate, _add_audit, _add_detect, _add_compare)
    for add in (*verbs_first, _add_runs, _add_recipes, _add_doctor, _add_report):
        add(verbs)
    return parser


def _verb(verbs: Any, name: str, function: Callable[..., int], text: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(verb=function)
    return parser


# ---------------------------------------------------------------------------------------------------- train


def _add_train(verbs: Any) -> None:
    parser = _verb(verbs, "train", train, "Train a recipe in a process of its own and follow it.")
    parser.add_argument("recipe", metavar="RECIPE", help="name of a shipped recipe, or a YAML file")
    parser.add_argument("--folder", help="where the run is kept (default: runs/NAME-SEED-TIME)")
    parser.add_argument("--seed", type=int, help="of all randomness (default: the recipe's)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. stages.0.steps=100")
    parser.add_argument("--processes", type=int, help="train in so many processes")
    parser.add_argument("--threads", type=int, help="CPU threads of each process")
    _add_place(parser)
    parser.add_argument("--resume", action="store_true", help="go on with the run in FOLDER")
    _add_leave(parser, "print the folder and return at once")


def _add_place(parser: argparse.ArgumentParser) -> None:
    what = "where to train: slurm, ssh:HOST, or a place of places.yaml (default: here)"
    parser.add_argument("--on", metavar="PLACE", help=what)
    what = "changes of the place: partition=gpu, nodes=2, gpus=8, hours=24 ..."
    parser.add_argument("--at", action="append", default=[], metavar="KEY=VALUE", help=what)


def _add_leave(parser: argparse.ArgumentParser, detached: str) -> None:
    parser.add_argument("--trust", action="store_true", help=TRUST)
    parser.add_argument("--detach", action="store_true", help=detached)


def _place(options: argparse.Namespace) -> dict[str, Any] | None:
    """Where to train, as `launch` takes it."""
    if options.at and options.on is None:
        raise RunError("--at changes a place: name one by --on, such as --on slurm")
    return None if options.on is None else {"place": options.on, **_pairs(options.at, RunError)}


def train(options: argparse.Namespace) -> int:
    """Start a run; follow it unless it is to be left alone."""
    from workbench.training import launch

    run = launch(
        _recipe(options),
        options.folder,
        on=_place(options),
        processes=options.processes,
        threads=options.threads,
        resume=options.resume,
        trust=options.trust,
    )
    if not options.detach:
        return _follow(run, heading=str(run.folder))
    print(run.folder)
    return 0


def _recipe(options: argparse.Namespace) -> Recipe:
    from workbench.training import Recipe

    changes = _pairs(options.set, RecipeError)
    if options.seed is not None:
        changes["seed"] = options.seed
    return Recipe.load(options.recipe).replace(changes)


def _count(text: str) -> int:
    """A number of things, at least one, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


def _printable(text: str) -> str:
    """A line of text, in which nothing moves the cursor: names of folders may be anybody's."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _pairs(settings: list[str], error: type[WorkbenchError]) -> dict[str, Any]:
    """KEY=VALUE as a dict; values are read as YAML, so that numbers, lists and null come as such."""
    from workbench.training.recipe_files import read_value

    pairs = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise error(f"expected KEY=VALUE, got {setting!r}")
        if key in pairs:
            raise error(f"{key} is given twice; give it once")
        try:
            pairs[key] = read_value(value)
        except ValueError:
            raise error(f"{key}: {value!r} is not a value") from None
    return pairs


def _follow(run: Run, *, heading: str = "") -> int:
    """Watch a run until it ends; stop it when this command is ended, unless it trains at another place."""
    try:
        with _ended_by(signal.SIGINT):
            if heading:
                print(heading)
            status = run.watch()
    except _Ended:
        stands = f"{run.stop(grace=math.inf)}: {_summary(run)}" if run.job is None else f"{run} goes on by itself"
        with suppress(OSError):  # the terminal is closed
            print(stands)
        raise
    print(f"{status}: {run.error or _summary(run)}")
    return 1 if status == "failed" else 0


def _add_extend(verbs: Any) -> None:
    parser = _verb(verbs, "extend", extend, "Train a finished run further, by one more stage, and follow it.")
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument("--steps", type=int, required=True, help="how many more")
    what = "how the stage differs from the last one, such as lr=1e-4; may be given again"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=what)
    _add_place(parser)
    _add_leave(parser, "return at once")


def extend(options: argparse.Namespace) -> int:
    """Go on with what was done, and follow it unless it is to be left alone."""
    stage = {"steps": options.steps, **_pairs(options.set, RecipeError)}
    run = _open(options.run).extend(on=_place(options), trust=options.trust, **stage)
    return 0 if options.detach else _follow(run)


def _summary(run: Run) -> str:
    progress = run.progress()
    steps = f"{progress.step} of {progress.total} steps in {run.seconds:.0f} s"
    result = run.result
    return f"{steps}, {_figures(result.summary)}" if result else steps


def _figures(summary: dict[str, float]) -> str:
    names = ("AP", "AP50", "AP_unoccluded", "AP_occluded", "mAP", "mask_AP", "accuracy_clean", "accuracy_occluded")
    of_proposals = ("AR100", "AR100_unoccluded", "AR100_occluded", "AUC", "mask_AR100")
    shown = [name for name in names if name in summary] or [name for name in of_proposals if name in summary]
    return ", ".join(f"{name} {summary[name]:.3f}" for name in shown)


# ----------------------------------------------------------------------------------------- evaluate, detect


def _add_data(parser: argparse.ArgumentParser, *, split: str, required: bool) -> None:
    parser.add_argument(
        "--data", metavar="NAME", required=required, help="such as digit-scenes; a wrong name lists all"
    )
    parser.add_argument("--root", help="folder of data that live on disk")
    parser.add_argument("--split", default=split, help=f"part of the data (default: {split})")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="of the data set")
    parser.add_argument("--limit", type=_count, help="only the first images")
    parser.add_argument("--proposals", action="append", default=[], metavar="KEY=VALUE", help=PROPOSALS)


def _add_classes(parser: argparse.ArgumentParser) -> None:
    what = "a class that the data call otherwise"
    parser.add_argument("--classes", action="append", default=[], metavar="ITS=DATA", help=what)


def _data(options: argparse.Namespace, **defaults: Any) -> Any:
    from workbench.data import load_data

    settings = defaults | _pairs(options.option, DataError)
    data = load_data(options.data, split=options.split, root=options.root, **settings)
    if options.proposals:
        from workbench.proposals import with_proposals
        from workbench.proposals.base import prepare

        data = with_proposals(data, **_pairs(options.proposals, DataError))
    data = data if options.limit is None else data.subset(range(min(options.limit, len(data))))
    if options.proposals:
        prepare(data)  # with a bar
    return data


def _add_evaluate(verbs: Any) -> None:
    parser = _verb(verbs, "evaluate", evaluate, "Score a detector, or a file of detections, on a data set.")
    parser.add_argument(
        "detector",
        metavar="DETECTOR",
        help=f"{NAMED}, or COCO results (.json), or a folder of VOC's",
    )
    _add_data(parser, split="test", required=True)
    _add_classes(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps ... (default: auto)")
    parser.add_argument("--iou-type", default="bbox", choices=["bbox", "segm", "segm-amodal"], help="boxes or masks")
    parser.add_argument("--save", metavar="FILE", help="write the whole result as JSON")


def evaluate(options: argparse.Namespace) -> int:
    """Print the figures with their intervals."""
    if options.save:
        check_writable(options.save, DataError)
    results = options.detector.lower().endswith(".json") or any(Path(options.detector).glob("comp*_det_*.txt"))
    named = options.detector if results else _named_detector(options.detector)
    data, renamed = _data(options), _renamed(options.classes)

    from workbench.detectors import as_detector
    from workbench.evaluation import evaluate
    from workbench.training.processes.world import choose_device

    detector = named if results else as_detector(named).to(choose_device(options.device))
    result = evaluate(detector, data, classes=renamed, iou_type=options.iou_type)
    print(result)
    print(result.table().to_string(float_format="{:.3f}".format, na_rep="–"))
    if options.save:
        result.save(options.save)
    return 0


def _renamed(settings: list[str]) -> dict[str, str]:
    """ITS=DATA as a dict; names are taken as they are, also "no" and "1"."""
    pairs = [setting.partition("=") for setting in settings]
    for own, equals, other in pairs:
        if not (own and equals and other):
            raise DataError(f"--classes: expected ITS=DATA, such as tv=tvmonitor, got {own + equals + other!r}")
    renamed = {own: other for own, _, other in pairs}
    if len(renamed) < len(pairs):
        raise DataError("--classes: a class is given twice; give each once")
    return renamed


def _add_audit(verbs: Any) -> None:
    parser = _verb(verbs, "audit", audit, AUDITS)
    what = "shipped name, run folder or .safetensors file; several are compared"
    parser.add_argument("detectors", metavar="DETECTOR", nargs="+", help=what)
    _add_data(parser, split="test", required=True)
    texts = {
        "kinds": "of occluders: grey, noise, texture, cut-outs, fence, leaves ..., PNG files or folders of them",
        "places": "random, centre, top, bottom, left, right",
        "corruptions": "such as gaussian-noise, defocus-blur, contrast, jpeg; a wrong name lists all",
    }
    for name, text in texts.items():
        parser.add_argument(f"--{name}", nargs="*", metavar="NAME", help=text)
    for name, text in {"fractions": "hidden, 0 to 1", "search": "fractions at the worst place"}.items():
        parser.add_argument(f"--{name}", nargs="*", type=float, metavar="SHARE", help=text)
    parser.add_argument("--severities", nargs="*", type=int, metavar="N", help="of corruptions, 1 to 5")
    parser.add_argument("--score", type=float, help="from which detections count (default: that of the best F1)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: 0)")
    parser.add_argument("--folder", help="keep each image's part there; the same command goes on after a stop")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps ... (default: auto)")
    what = "write the report as .html or .json; may be given twice"
    parser.add_argument("--save", action="append", default=[], metavar="FILE", help=what)


def audit(options: argparse.Namespace) -> int:
    """Print the summary and what is to be known about it."""
    for path in options.save:
        if Path(path).suffix.lower() not in (".html", ".json"):
            raise DataError(f"{path}: a report is saved as .html or .json")
        check_writable(path, DataError)
    if len(set(options.detectors)) < len(options.detectors):
        raise DataError("a detector is named twice; name each once")
    named = {name: _named_detector(name) for name in options.detectors}
    asked = ("kinds", "places", "corruptions", "fractions", "search", "severities")
    chosen = {name: getattr(options, name) for name in asked if getattr(options, name) is not None}
    data = _data(options)

    from workbench.evaluation import audit
    from workbench.training.processes.world import choose_device

    chosen |= {"score": options.score, "seed": options.seed, "folder": options.folder}
    report = audit(named, data, device=choose_device(options.device), **chosen)
    print(report)
    for path in options.save:
        report.save(path)
    return 0


def _add_detect(verbs: Any) -> None:
    parser = _verb(verbs, "detect", detect, DETECTS)
    parser.add_argument("detector", metavar="DETECTOR", help=NAMED)
    parser.add_argument("images", metavar="IMAGE", nargs="*", type=Path, help="files such as JPEG or PNG")
    parser.add_argument("--score", type=float, help="the least score (default: 0.5 for images, all for --data)")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="also draw the boxes into pictures there")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps ... (default: auto)")
    _add_data(parser, split="test", required=False)
    _add_classes(parser)
    what = "of --data: a .json file in COCO's format of results, or a folder for VOC's files"
    parser.add_argument("--save", metavar="PATH", help=what)


def detect(options: argparse.Namespace) -> int:
    """Print what was found in each image, and draw it; or save what was found in a data set."""
    if bool(options.images) == bool(options.data):
        raise DataError("detect takes files of images, or a data set by --data; give one of them")
    if (options.data is None) != (options.save is None):
        raise DataError("detect: --data and --save belong together")
    if options.data:
        return _detect_data(options)
    named, least = _named_detector(options.detector), 0.5 if options.score is None else options.score
    if options.out:
        check_writable(options.out / "picture", DataError)

    from workbench.data.reading.images import read_image
    from workbench.detectors import as_detector
    from workbench.detectors.base import Detects, asked
    from workbench.figures.detection import detections_figure
    from workbench.proposals import searched
    from workbench.training.processes.world import choose_device

    images = [read_image(path) for path in options.images]  # all of them before the first is answered
    detector = as_detector(named).to(choose_device(options.device))
    finder = asked(detector, Detects)
    for number, (path, image) in enumerate(zip(options.images, images, strict=True)):
        proposals = [searched(image)] if detector.needs_proposals else None
        found = finder.detect([image], proposals)[0].to("cpu").above(least)
        objects = [
            {
                "label": detector.classes[label - 1],
                "score": round(score, 4),
                "box": [round(x, 1) for x in box],
            }
            for label, score, box in zip(
                found.labels.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True
            )
        ]
        print(json.dumps({"image": str(path), "objects": objects}))
        if options.out:
            picture = _picture_path(options.out, options.images, number)
            figure = detections_figure(image, found, detector.classes, min_score=least)
            figure.savefig(picture, dpi=150)
    return 0


def _detect_data(options: argparse.Namespace) -> int:
    """Save what is found in a data set."""
    as_coco = Path(options.save).suffix.lower() == ".json"
    check_writable(options.save if as_coco else Path(options.save) / "comp4_det.txt", DataError)
    named, data, renamed = _named_detector(options.detector), _data(options), _renamed(options.classes)

    from workbench.detectors import as_detector
    from workbench.evaluation import detect_all
    from workbench.training.processes.world import choose_device

    detector = as_detector(named).to(choose_device(options.device))
    found = detect_all(detector, data, classes=renamed)
    found = found if options.score is None else found.above(options.score)
    print(found.save_coco(options.save) if as_coco else found.save_voc(options.save))
    return 0


def _named_detector(name: str) -> Any:
    """The file or the run that a name means, looked at before torch is imported; or what a Python file makes."""
    if made := re.fullmatch(r"(.+\.py)(?::(\w+))?", name):
        return value_in(made[1], made[2] or "detector")
    from workbench.detectors.locate import locate
    from workbench.training.run import Run

    return Run.open(name) if Path(name).is_dir() else locate(name)


def _picture_path(folder: Path, images: list[Path], number: int) -> Path:
    """Where the picture of one image goes; images of equal names from different folders get a number."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be made: {error.strerror}") from None
    return folder / f"{_names(images)[number]}.png"


def _names(images: Sequence[Path]) -> list[str]:
    """A name for each image: its own, or, where several have it, with a number that makes it none of the others."""
    stems = [path.stem for path in images]
    taken, names = {stem.casefold() for stem in stems}, []
    often = Counter(stem.casefold() for stem in stems)
    for stem in stems:
        name, number = stem, 0
        while often[stem.casefold()] > 1 and name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


# -------------------------------------------------------------------------------------------- compare, runs


def _add_compare(verbs: Any) -> None:
    parser = _verb(verbs, "compare", compare, "Train recipes with several seeds and compare them with the first.")
    parser.add_argument("recipes", metavar="RECIPE", nargs="+", help="name or YAML file; the first is compared with")
    parser.add_argument("--seeds", type=_count, default=5, help="so many, from 0 on (default: 5)")
    parser.add_argument("--folder", help="where the runs are kept and looked for (default: runs)")
    parser.add_argument("--workers", type=_count, help="runs at a time (default: one per core)")
    parser.add_argument("--save", metavar="FILE", help="write the comparison as JSON")


def compare(options: argparse.Namespace) -> int:
    """Print the table of means and differences."""
    from workbench.training import compare

    if options.save:
        check_writable(options.save, RunError)
    comparison = compare(options.recipes, seeds=options.seeds, folder=options.folder, workers=options.workers)
    print(comparison)
    if options.save:
        comparison.save(options.save)
    return 1 if len(comparison.failures) else 0


def _add_runs(verbs: Any) -> None:
    parser = _verb(verbs, "runs", list_runs, "List, show, stop and resume runs.")
    parser.set_defaults(under=None)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    listed = _verb(actions, "list", list_runs, "All runs in a folder, newest first (the default).")
    listed.add_argument("under", nargs="?", metavar="FOLDER", help="default: runs, or WORKBENCH_RUNS")
    for each in (parser, listed):
        what = "only runs like status=done, AP>0.3 or stages.0.lr<=0.01; may be given again"
        each.add_argument("--where", action="append", default=[], metavar="CONDITION", help=what)
        each.add_argument("--sort", metavar="KEY", help="by a metric, a key of the recipe, status, name ...")
        each.add_argument("--reverse", action="store_true", help="the largest first")
        what = "to show, in place of AP or its like; may be given again"
        each.add_argument("--metric", action="append", default=[], metavar="NAME", help=what)
    for name, function, text in (
        ("show", show_run, "Status, progress and latest figures of a run."),
        ("stop", stop_run, "Let a run write a checkpoint and end."),
        ("resume", resume_run, "Go on with a run from its latest checkpoint."),
        ("log", show_log, "The last lines that a run printed."),
    ):
        action = _verb(actions, name, function, text)
        action.add_argument("run", metavar="RUN", help=RUN)
        if name == "log":
            action.add_argument("-n", type=_count, default=20, help="lines (default: 20)")
        if name == "resume":
            _add_place(action)
            action.add_argument("--data-root", metavar="FOLDER", help="where the data of the training lie now")
            _add_leave(action, "return at once")


def _open(name: str) -> Run:
    from workbench.training import Run
    from workbench.training.launch import runs_folder

    return Run.open(name if Path(name).exists() else runs_folder() / name)


def list_runs(options: argparse.Namespace) -> int:
    """One line per run."""
    from workbench.training.launch import runs_folder
    from workbench.training.listing import read_runs, select

    root = runs_folder() if options.under is None else Path(options.under)
    runs = select(read_runs(root), where=options.where, sort=options.sort, reverse=options.reverse)
    if not runs:
        print(f"no {'such ' if options.where else ''}runs in {root}")
    for one in runs:
        names = options.metric or [name for name in ("AP", "AUC", "accuracy_clean") if name in one.metrics][:1]
        shown = [f"{name} {one.metrics[name]:.3f}" for name in names if name in one.metrics]
        shown += [f"{key}={json.dumps(value)}" for key, value in one.overrides.items()]
        line = f"{one.status:<9}{one.step:>8}/{one.steps:<8}{one.run.name}  {', '.join(shown)}"
        print(_printable(line.rstrip()))
    return 0


def show_run(options: argparse.Namespace) -> int:
    """Status and latest figures."""
    run = _open(options.run)
    stands = run.error or run.job or _summary(run)
    how = f"{run.status}: {stands}".splitlines()
    for line in (str(run.folder), f"{run.recipe.name}, seed {run.recipe.seed}", *how):
        print(_printable(line))
    metrics = run.metrics()
    for kind in ("train", "val"):
        rows = metrics[metrics["kind"] == kind]
        if len(rows):
            latest = rows.iloc[-1].drop(["kind", "time"]).dropna()
            print(f"{kind}: " + ", ".join(f"{name} {value:.4g}" for name, value in latest.items()))
    return 1 if run.status == "failed" else 0


def stop_run(options: argparse.Namespace) -> int:
    """Stop it and print how it stands."""
    print(_open(options.run).stop())
    return 0


def resume_run(options: argparse.Namespace) -> int:
    """Go on, and follow it unless it is to be left alone."""
    run = _open(options.run).resume(on=_place(options), data_root=options.data_root, trust=options.trust)
    return 0 if options.detach else _follow(run)


def show_log(options: argparse.Namespace) -> int:
    """The end of its log."""
    print(_open(options.run).log(options.n), end="")
    return 0


# -------------------------------------------------------------------------------------------------- recipes


def _add_recipes(verbs: Any) -> None:
    parser = _verb(verbs, "recipes", recipes, "List the shipped recipes, or show one with its base's values marked.")
    what = "recipe or YAML file to show; or which to list: a folder (retinanet) or a pattern ('*ohem*')"
    parser.add_argument("name", metavar="NAME", nargs="?", help=what)
    parser.add_argument("--own", action="store_true", help="show only what the recipe's own file says")
    parser.add_argument("--all", action="store_true", help="show the defaults of everything else, too")


def recipes(options: argparse.Namespace) -> int:
    """Print a list of names with what they are for, or one recipe as YAML."""
    from workbench.training.recipe_listing import full_text, listing, matching, own_text

    if options.name is None:
        if options.own or options.all:
            raise RecipeError("--own and --all show one recipe: name it, as `recipes --own retinanet/digits`")
        options.name = "*"
    names = matching(options.name)
    if names and names != [options.name]:
        print(listing(names))
    else:
        print(own_text(options.name) if options.own else full_text(options.name, defaults=options.all))
    return 0


# --------------------------------------------------------------------------------------------------- doctor


def _add_doctor(verbs: Any) -> None:
    parser = _verb(verbs, "doctor", doctor, "Say what is wrong with a recipe or a data set before it costs hours.")
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", help="name of a shipped recipe, or a YAML file")
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="changes of the recipe")
    _add_data(parser, split="train", required=False)


def doctor(options: argparse.Namespace) -> int:
    """Print the report; 1 if it holds an error."""
    if (options.recipe is None) == (options.data is None):
        raise DataError("the doctor examines one thing: a RECIPE, or the data set named by --data")
    from workbench.registry import DATASETS

    whole = {}
    if options.data in DATASETS and "strict" in DATASETS.options(options.data):
        whole = {"strict": False}  # else loading ends at the first error
    patient = _data(options, **whole) if options.data else _recipe(options)  # before torch is imported: names

    from workbench.training import doctor

    report = doctor(patient)
    print(report)
    return 0 if report.ok else 1


# ---------------------------------------------------------------------------------------------------- report


def _add_report(verbs: Any) -> None:
    text = "Make one linked site out of notebooks and texts, which is opened from its folder."
    parser = _verb(verbs, "report", report, text)
    parser.add_argument(
        "sources", nargs="+", metavar="FILE", help="notebooks (.ipynb) and texts (.md), in their order"
    )
    parser.add_argument("--folder", default="report", help="where it is written (default: report)")
    parser.add_argument("--title", default="Report", help="of the site")
    parser.add_argument("--execute", action="store_true", help="run the notebooks anew; their files stay as they are")


def report(options: argparse.Namespace) -> int:
    """Write the site and say where its index is."""
    from workbench.reporting import write_site

    def say(name: str) -> None:
        print(f"{name} ...", file=sys.stderr)

    print(write_site(options.folder, options.sources, title=options.title, execute=options.execute, progress=say))
    return 0


if __name__ == "__main__":
    sys.exit(main())
