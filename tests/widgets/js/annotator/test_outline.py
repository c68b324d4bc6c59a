"""Outlines that are being drawn: points, sides, parts and layers."""

from __future__ import annotations

from javascript import evaluate, needs_node

pytestmark = needs_node

NAMES = {"annotator/outline.js": "Outline, areaOf, toFlat, toPoints, within"}
SQUARE = "[[0, 0], [10, 0], [10, 10], [0, 10]]"


def drawn(steps: str, folder):
    return evaluate(f"(() => {{ const one = new Outline(); {steps} }})()", NAMES, folder)


def test_points_a_closed_ring_and_another_part(tmp_path):
    steps = f"""
        for (const p of {SQUARE}) one.add(p);
        const open = one.open; one.close();
        for (const p of [[20, 0], [30, 0], [30, 9]]) one.add(p);
        const early = one.complete; one.close();
        return [open, one.open, early, one.complete, one.shape, one.count];
    """
    open_, closed, early, complete, shape, count = drawn(steps, tmp_path)
    assert (open_, closed, early, complete, count) == (True, False, True, True, 7)
    assert shape == {"rings": [[0, 0, 10, 0, 10, 10, 0, 10], [20, 0, 30, 0, 30, 9]], "amodal": None}


def test_too_few_points_are_no_ring(tmp_path):
    steps = "one.add([0, 0]); one.add([5, 5]); one.close(); return [one.empty, one.complete];"
    assert drawn(steps, tmp_path) == [True, False]
    steps = "for (const p of [[0, 0], [5, 5], [9, 9]]) one.add(p); one.close(); return one.complete;"
    assert drawn(steps, tmp_path) is False  # on one line


def test_points_are_found_moved_set_on_sides_and_removed(tmp_path):
    steps = f"""
        for (const p of {SQUARE}) one.add(p);
        const last = one.sideAt([0, 5], 1);
        one.close();
        const side = one.sideAt([0.5, 5], 1), far = one.sideAt([5, 5], 1);
        const at = one.insert(side);
        one.move(at, [-2, 5]);
        const hit = one.pointAt([-1.5, 5], 1);
        const area = areaOf(one.rings[0]);
        one.remove(hit);
        const again = areaOf(one.rings[0]);
        one.remove({{ ring: 0, at: 0 }}); one.remove({{ ring: 0, at: 0 }});
        return [last, side.point, far, at, hit, area, again, one.empty];
    """
    found = drawn(steps, tmp_path)
    # a tooth of 10 * 2 / 2 = 10 pixels on a square of 100
    assert found == [None, [0, 5], None, {"ring": 0, "at": 4}, {"ring": 0, "at": 4}, 110, 100, True]


def test_backspace_takes_the_last_point_and_opens_the_ring(tmp_path):
    steps = f"""
        for (const p of {SQUARE}) one.add(p);
        one.close(); one.removeLast(); one.add([1, 1]);
        const rings = one.rings.map((ring) => ring.length);
        for (let i = 0; i < 4; i += 1) one.removeLast();
        one.removeLast();
        return [rings, one.empty, one.open];
    """
    assert drawn(steps, tmp_path) == [[4], True, False]


def test_the_whole_object_begins_as_what_is_seen(tmp_path):
    steps = f"""
        for (const p of {SQUARE}) one.add(p);
        one.turn("whole"); one.move({{ ring: 0, at: 1 }}, [20, 0]); one.move({{ ring: 0, at: 2 }}, [20, 10]);
        const kept = Outline.again(JSON.parse(JSON.stringify(one.kept)));
        return [kept.shape, kept.layer];
    """
    shape, layer = drawn(steps, tmp_path)
    assert shape == {"rings": [[0, 0, 10, 0, 10, 10, 0, 10]], "amodal": [[0, 0, 20, 0, 20, 10, 0, 10]]}
    assert layer == "whole"


def test_inside_by_the_even_odd_rule(tmp_path):
    rings = f"[{SQUARE}, [[4, 4], [6, 4], [6, 6], [4, 6]]]"
    asked = f"[[1, 1], [5, 5], [11, 5]].map((point) => within({rings}, point))"
    assert evaluate(asked, NAMES, tmp_path) == [True, False, False]
    assert evaluate("toFlat(toPoints([1.004, 2, 3, 4.239]))", NAMES, tmp_path) == [1, 2, 3, 4.24]
