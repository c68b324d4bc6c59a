"""A trainer that trains nothing: it writes the files that the real one writes, as the recipe's `notes` ask.

notes: step (seconds per step, until there is a file `hurry`), validate (write AP every so many steps), stubborn
(ignore SIGTERM), child (start a process of its own), fail ("error": write error.json; "crash": die without a word),
result (a result.json to copy, with AP set to `ap` + seed / 100).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

folder = Path(sys.argv[1])
recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
notes = recipe["notes"] or {}
rank = int(os.environ.get("RANK", 0))


def write(name: str, content: object) -> None:
    (folder / name).write_text(json.dumps(content))


def last_step() -> int:
    path = folder / "metrics.jsonl"
    return (
        max((json.loads(line)["step"] for line in path.read_text().splitlines()), default=0) if path.exists() else 0
    )


def stop(*_: object) -> None:
    print("stopped in an orderly way")
    if rank == 0 and not (folder / "stop.json").exists():
        write("stop.json", {"signal": "SIGTERM"})
    sys.exit(0)


signal.signal(signal.SIGTERM, signal.SIG_IGN if notes.get("stubborn") else stop)
if notes.get("child"):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print(f"rank {rank}, {os.environ['OMP_NUM_THREADS']} threads, in {Path.cwd()}")
write(f"worker-{rank}.json", {"pid": os.getpid()})
start, total = last_step(), sum(stage["steps"] for stage in recipe["stages"])
for step in range(start + 1, total + 1):
    time.sleep(0 if (folder / "hurry").exists() else notes.get("step", 0))
    if rank == 0:
        with open(folder / "metrics.jsonl", "a") as metrics:
            row = {
                "step": step,
                "time": time.time(),
                "kind": "train",
                "lr": 1e-3,
                "loss": 1 / step,
                "loss/box": 0.5 / step,
            }
            metrics.write(json.dumps(row) + "\n")
            if step % notes.get("validate", total + 1) == 0:
                metrics.write(
                    json.dumps({**row, "kind": "val", "AP": step / (step + 20), "AP50": step / (step + 9)}) + "\n"
                )
if notes.get("fail") == "crash":
    os.kill(os.getpid(), signal.SIGKILL)
if notes.get("fail") == "error":
    write("error.json", {"kind": "non-finite-loss", "message": "the loss is not finite at step 3", "step": 3})
    sys.exit(1)
if rank == 0:
    if "result" in notes:
        result = json.loads(Path(notes["result"]).read_text())
        result["summary"]["AP"] = notes["ap"] + recipe["seed"] / 100
        write("result.json", result)
    write("done.json", {"step": total, "seconds": 1.5, "result": None})
