"""Questions of which the newest wins."""

from __future__ import annotations

from javascript import evaluate, needs_node

pytestmark = needs_node

PLAY = """(() => {
  const sent = [];
  const questions = new NewestWins((number, change) => sent.push([number, change]));
  questions.ask({ x: 1 });
  questions.ask({ x: 2, y: 1 });
  questions.ask({ x: 3 });
  const stranger = questions.answered(7);
  const own = questions.answered(1);
  questions.next();
  const again = questions.answered(1);
  questions.answered(2);
  questions.next();
  return { sent, stranger, own, again, inFlight: questions.inFlight };
})()"""


def test_the_newest_question_wins(tmp_path):
    """Three changes and one answer: what came meanwhile goes as one question, the last value of each name."""
    found = evaluate(PLAY, {"shared/newest.js": "NewestWins"}, tmp_path)
    assert found["sent"] == [[1, {"x": 1}], [2, {"x": 3, "y": 1}]]
    assert (found["stranger"], found["own"], found["again"], found["inFlight"]) == (False, True, False, None)
