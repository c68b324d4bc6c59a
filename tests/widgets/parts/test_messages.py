"""Messages are text, never HTML, and are read well."""

from __future__ import annotations

import pytest

from widgets.parts.messages import TONES, alert, badge, chips, note


@pytest.mark.parametrize(("message", "role"), [(alert, "alert"), (note, "status")])
def test_a_message_is_escaped_and_empty_for_no_text(message, role):
    assert message("") == ""
    assert f'<div role="{role}"' in message("<script>")
    assert "&lt;script&gt;" in message("<script>")


def test_badges_and_chips_are_escaped():
    assert "&lt;b&gt;" in badge("<b>", "success")
    assert chips("a & b", {"<i>": "#123456"}).count("<i>") == 0
    assert "color:#123456" in chips("", {"one": "#123456"})


@pytest.mark.parametrize("tone", TONES)
def test_ink_is_read_on_its_ground(tone):
    """WCAG asks for a contrast of 4.5."""

    def luminance(text: str) -> float:
        parts = [int(text[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ink, ground = TONES[tone]
    assert (luminance(ground) + 0.05) / (luminance(ink) + 0.05) > 4.5
