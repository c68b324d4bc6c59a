"""When a training has gone astray, by hand: ten times the 2.0 that it began with are 20."""

from __future__ import annotations

from workbench.training.recording.watch import WINDOW, Watch


def watch_of(*losses: float) -> Watch:
    watch = Watch()
    watch.begin_stage()
    for loss in losses:
        watch.add(loss)
    return watch


def test_a_checkpoint_is_good_once_the_next_step_is() -> None:
    watch = watch_of(2.0, 1.0)
    watch.saved(2)
    assert (watch.good, watch.last_good) == (None, [2])
    watch.add(1.0)
    assert (watch.good, watch.unproven, watch.last_good) == (2, None, [2])


def test_a_step_that_ruins_the_weights_leaves_the_checkpoint_before() -> None:
    watch = watch_of(2.0, 1.0)
    watch.saved(2)
    watch.add(1.0)
    watch.saved(3)
    watch.add(20.1)
    assert (watch.good, watch.last_good) == (2, [2])
    watch.saved(4)
    assert watch.last_good == [2]


def test_it_diverges_when_most_of_the_last_steps_are_too_large() -> None:
    watch = watch_of(2.0, *[1.0] * WINDOW, *[30.0] * (WINDOW // 2))
    assert watch.astray
    assert not watch.diverges
    watch.add(30.0)
    assert watch.diverges
    for _ in range(WINDOW):
        watch.add(19.9)
    assert not watch.astray
    assert not watch.diverges


def test_the_largest_beginning_of_a_stage_counts() -> None:
    watch = watch_of(2.0, 0.1)
    watch.begin_stage()
    watch.add(0.2)
    assert watch.limit == 20.0
    watch.begin_stage()
    watch.add(3.0)
    assert watch.limit == 30.0


def test_losses_that_may_be_negative_have_no_limit() -> None:
    assert not watch_of(-1.0, 1e9).astray


def test_it_comes_back_from_a_checkpoint() -> None:
    watch = watch_of(2.0, 1.0, 30.0)
    again = Watch(**watch.state())
    assert again.state() == watch.state()
    again.add(30.0)
    assert list(again.recent) == [2.0, 1.0, 30.0, 30.0]
