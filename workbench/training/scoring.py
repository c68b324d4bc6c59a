"""Evaluate the detector of a finished run on test data, once: `result.json` is kept with what it was made from.

`python -m workbench.training.scoring FOLDER SPEC` does it in a process of its own; SPEC is a test section as JSON.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress

from workbench.errors import WorkbenchError
from workbench.training.recipe_sections import TestSpec
from workbench.training.recording.disk import write_record
from workbench.training.recording.fingerprint import EVALUATION, code_fingerprint
from workbench.training.run import Run

SOURCE = "result-source.json"


def is_scored(run: Run, test: TestSpec, code: str) -> bool:
    """Whether the run's `result.json` is of these data, by the evaluation code of this fingerprint."""
    try:
        return run.result is not None and _source_of(run) == _source(test, code)
    except WorkbenchError:  # a damaged result is made anew
        return False


def score(run: Run, test: TestSpec) -> None:
    """Evaluate the final detector of a run on `test` and write its `result.json`."""
    from workbench.training.processes.world import choose_device
    from workbench.training.stepping.batches import load_spec
    from workbench.training.stepping.final_result import final_result

    device = choose_device(run.recipe.device)
    result = final_result(run.detector(), load_spec(test), test, device=device)
    source = run.folder / SOURCE
    source.unlink(missing_ok=True)  # a kill between the two writes must not pair them wrongly
    result.save(run.folder / "result.json")
    write_record(source, _source(test, code_fingerprint(EVALUATION)))


def _source(test: TestSpec, code: str) -> dict:
    return {"test": test.model_dump(mode="json"), "code": code}


def _source_of(run: Run) -> dict:
    """What a result was made from: as written beside it, else by the run itself at its end."""
    path = run.folder / SOURCE
    if path.is_file():
        with suppress(OSError, ValueError, RecursionError):
            return json.loads(path.read_bytes())
        return {}
    return {"test": run.recipe.to_dict()["test"], "code": run.fingerprints.get("evaluation")}


def main(folder: str, spec: str) -> int:
    """Score one run; 1 and a line on standard error if that fails."""
    try:
        score(Run.open(folder), TestSpec.model_validate_json(spec))
    except (WorkbenchError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
