"""RunMonitor as a user meets it: live curves, buttons, the log, and a kernel that restarts meanwhile."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

STAND_IN = Path(__file__).parents[1] / "support" / "stand_in"
RECIPE = """
name: <i>try</i>
data: {name: digit-scenes}
detector: {kind: faster-rcnn, backbone: {name: small}}
stages: [{steps: 1000, lr: 1}]
notes: {step: 0.1, validate: 60}
"""
LAUNCH = f"""
from pathlib import Path
from widgets import RunMonitor
from workbench.training import Run, launch
from workbench.training.processes import detached

detached.SOURCES = Path({str(STAND_IN)!r})
run = Run.open("run") if Path("run").exists() else launch("recipe.yaml", "run")
"""


def test_it_follows_stops_and_resumes_a_run_and_survives_a_restart(lab_page):
    lab = lab_page([LAUNCH, "RunMonitor('run', interval=0.5)"], files={"recipe.yaml": RECIPE.encode()})
    page, monitor = lab.page, lab.page.locator(".run-monitor").last
    status = monitor.get_by_role("status")
    status.get_by_text("running").wait_for(timeout=20_000)
    monitor.locator(".scatterlayer .trace").nth(3).wait_for(timeout=20_000)  # later validation and a panel, too
    lab.screenshot("run-monitor-running")

    lab.reload()
    monitor.locator(".scatterlayer .trace").nth(3).wait_for(timeout=20_000)  # the curves are there, and grow
    reached = "() => document.querySelector('.run-monitor .js-plotly-plot').calcdata[0].at(-1).x"
    before = page.evaluate(reached)
    page.wait_for_function(f"before => ({reached})() > before", arg=before)

    lab.restart_kernel()
    monitor.get_by_text("Run this cell again").wait_for()
    lab.run_all()
    status.get_by_text("running").wait_for(timeout=20_000)
    monitor.get_by_role("button", name="Stop").click()
    status.get_by_text("stopped").wait_for(timeout=20_000)
    assert monitor.get_by_role("button", name="Stop").is_disabled()
    page.get_by_text("Log", exact=True).last.click()
    monitor.get_by_text("stopped in an orderly way").wait_for(timeout=10_000)
    lab.theme("dark")
    lab.screenshot("run-monitor-stopped-dark")

    (lab.folder / "run" / "hurry").touch()
    monitor.get_by_role("button", name="Resume").click()
    status.get_by_text("done").wait_for(timeout=30_000)
    assert "step 1,000 of 1,000" in monitor.inner_text()
    drawn = "document.querySelector('.run-monitor .js-plotly-plot').calcdata[0]"
    page.wait_for_function(f"{drawn}.length === 300 && {drawn}[299].x > 990", timeout=10_000)
    lab.screenshot("run-monitor-done-dark")


QUEUED = """
from workbench.training.processes.queue import JobState

run.stop()
Run.status = property(lambda run: "queued")
Run.job = property(lambda run: JobState("PENDING", "<b>Resources</b>"))
"""


def test_a_run_that_waits_in_a_queue_says_why_and_can_be_stopped(lab_page):
    lab = lab_page([LAUNCH, QUEUED, "RunMonitor('run', interval=0.5)"], files={"recipe.yaml": RECIPE.encode()})
    monitor = lab.page.locator(".run-monitor").last
    monitor.get_by_role("status").get_by_text("queued").wait_for()
    monitor.get_by_text("PENDING (<b>Resources</b>)").wait_for()
    assert monitor.get_by_role("button", name="Stop").is_enabled()
    assert monitor.get_by_role("button", name="Resume").is_disabled()
    lab.screenshot("run-monitor-queued", ".run-monitor")
    lab.theme("dark")
    lab.screenshot("run-monitor-queued-dark", ".run-monitor")
