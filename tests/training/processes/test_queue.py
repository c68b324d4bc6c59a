"""What Slurm's answers mean, and how seldom it is asked."""

from __future__ import annotations

import subprocess

import pytest

from workbench.training.processes.queue import JobState, Queue, parse

PRINTED = """17|RUNNING|None
18|PENDING|Resources
20_0|PENDING|Dependency
20_1|COMPLETING|None
21|CANCELLED|None
22|OUT_OF_MEMORY|OutOfMemory
slurm_load_jobs error
"""


class Clock:
    """A time that goes on when it is told to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Controller:
    """Answers like `squeue`, and counts how often."""

    def __init__(self, text: str = PRINTED):
        self.text, self.asked, self.error = text, 0, None

    def __call__(self) -> str:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.text


def test_lines_of_squeue():
    states = parse(PRINTED)
    assert states["18"] == JobState("PENDING", "Resources")
    assert str(states["18"]) == "PENDING (Resources)"
    assert str(states["17"]) == "RUNNING"
    assert {job for job, state in states.items() if state.alive} == {"17", "18", "20_0", "20_1"}
    assert {job for job, state in states.items() if state.waits} == {"18", "20_0"}


def test_tasks_of_an_array_that_wait_together_stand_in_one_line():
    printed = (
        "30_[4-6,9%2]|PENDING|JobArrayTaskLimit\n30_2|RUNNING|None\n31_[7]|PENDING|Priority\n32_[0-6:3]|PENDING|None"
    )
    states = parse(printed)
    assert list(states) == ["30_4", "30_5", "30_6", "30_9", "30_2", "31_7", "32_0", "32_3", "32_6"]
    assert states["30_5"] == JobState("PENDING", "JobArrayTaskLimit")
    assert states["30_2"] == JobState("RUNNING")


def test_500_tasks_of_an_array_cost_one_question_in_ten_seconds():
    clock, controller = (
        Clock(),
        Controller("40_[2-499%2]|PENDING|JobArrayTaskLimit\n40_0|RUNNING|None\n40_1|RUNNING|None"),
    )
    queue = Queue(controller, clock)
    for _ in range(30):
        found = [queue.look_up(f"40_{task}", submitted=5.0) for task in range(500)]
        assert [state.state for state in found] == ["RUNNING"] * 2 + ["PENDING"] * 498
        clock.now += 1
    assert controller.asked == 3


def test_500_jobs_cost_one_question_in_ten_seconds():
    clock, controller = Clock(), Controller("\n".join(f"{job}|PENDING|Priority" for job in range(500)))
    queue = Queue(controller, clock)
    for _ in range(30):  # half a minute, each job looked at every second
        for job in range(500):
            assert queue.look_up(str(job), submitted=5.0) == JobState("PENDING", "Priority")
        clock.now += 1
    assert controller.asked == 3
    queue.look_up("7", submitted=5.0, age=1.0)  # as while a job is being stopped
    assert controller.asked == 4


def test_a_job_from_after_the_last_answer_waits_and_one_that_is_gone_has_ended():
    clock, controller = Clock(), Controller()
    queue = Queue(controller, clock)
    assert queue.look_up("99", submitted=5.0) is None
    assert queue.look_up("99", submitted=clock.now + 1) == JobState("PENDING")
    assert controller.asked == 1
    clock.now += 10
    assert queue.look_up("99", submitted=1_001.0) is None, "it was in no answer since"


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file or directory"),
        subprocess.CalledProcessError(1, "squeue", stderr="Unable to contact\nslurm controller"),
        subprocess.TimeoutExpired("squeue", 30),
    ],
)
def test_while_slurm_does_not_answer_nothing_is_taken_for_ended(error):
    clock, controller = Clock(), Controller()
    queue = Queue(controller, clock)
    queue.look_up("17", submitted=5.0)
    controller.error = error
    clock.now += 10
    assert queue.look_up("17", submitted=5.0) == JobState("RUNNING"), "as it was last"
    unknown = queue.look_up("99", submitted=5.0)
    assert unknown.alive
    assert not unknown.waits
    assert unknown.reason.startswith("squeue cannot be asked: ")
    assert "\n" not in unknown.reason
    assert controller.asked == 2, "not oftener because it fails"
