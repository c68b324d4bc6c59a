// Below the pictures: how much of the object is hidden, how long an answer took, what went wrong, and how to go on.

import { errorLine, make } from "../shared/elements.js";
import { length } from "./panel.js";

export const KEYS = "Arrow keys move the occluder, Shift + arrows resize it, Alt makes steps of one pixel, "
  + "T changes the texture, O chooses the next object, M draws the response map.";
const TWO_SCORES = "Two scores: the large one is what the detector gives to the chosen object's class at the object's own "
  + "box, which never moves. The tags in the picture are what it finds by itself, at boxes of its own, so they may differ.";
const WHOSE = { object: "the object", "visible pixels": "the object's visible pixels" };

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

export class Foot {
  constructor() {
    this.element = make("div", "ol-foot");
    this.hiddenText = make("span", "ol-hidden");
    this.hiddenBar = make("span", "ol-hidden-bar");
    this.sceneBar = make("span", "ol-scene-bar");
    const meter = make("span", "ol-hidden-meter");
    meter.append(this.sceneBar, this.hiddenBar);
    this.time = make("span", "ol-time");
    this.error = errorLine();
    this.notice = errorLine();
    this.live = make("span", "ol-live", "", { "aria-live": "polite" });
    const line = make("div", "wb-line");
    line.append(this.hiddenText, meter, this.time);
    const help = make("div", "wb-note", `Drag the occluder or its white handles; click an object or a detection to choose it. ${KEYS}`);
    this.twoScores = make("div", "", TWO_SCORES);
    help.append(this.twoScores);
    this.element.append(line, this.error, this.notice, help, this.live);
  }

  show({ hidden, hidden_of: of, hidden_by_scene: scene, detectors }) {
    this.twoScores.hidden = Object.values(detectors).every(({ followed }) => followed); // then there is one score
    const [all, first] = [hidden ?? 0, scene ?? 0].map((share) => Math.round(100 * share)); // so that the parts make up the sum
    const parts = scene === null ? `${all} % by you` : `${first} % by the scene + ${all - first} % by you = ${all} %`;
    this.hiddenText.textContent = hidden === null ? "No object to hide" : `Hidden: ${parts} of ${WHOSE[of] ?? "the object's box"}`;
    this.sceneBar.style.width = length(scene ?? 0);
    this.hiddenBar.style.width = length((hidden ?? 0) - (scene ?? 0));
  }

  // trips: milliseconds, [from question to answer, in the detectors], of all answers.
  showTimes(trips) {
    const [whole, inside] = [0, 1].map((part) => Math.round(median(trips.slice(-20).map((trip) => trip[part]))));
    this.time.textContent = `answer in ${whole} ms, of which detectors ${inside} ms`;
  }

  // milliseconds: since the question that has no answer yet.
  showWaiting(milliseconds) {
    if (milliseconds >= 1500) this.time.textContent = `waiting for the kernel … ${Math.round(milliseconds / 1000)} s`;
  }

  showError(text) {
    this.error.textContent = text;
    this.error.hidden = text === "";
  }

  // Why it does not show what a linked widget shows.
  showNotice(text) {
    this.notice.textContent = text;
    this.notice.hidden = text === "";
  }

  // For screen readers, once the occluder rests. scores: detector → score or null.
  speak(scores) {
    this.hush();
    const known = Object.entries(scores).filter(([, score]) => score !== null);
    const texts = [this.hiddenText.textContent, ...known.map(([name, score]) => `${name} ${score.toFixed(2)}`)];
    this.speaking = setTimeout(() => { this.live.textContent = texts.join(", "); }, 800);
  }

  hush() {
    clearTimeout(this.speaking);
  }
}
