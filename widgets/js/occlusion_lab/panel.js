// What one detector says: its name, whether it finds the object, its picture, and the score of the object before and now.

import { OWN } from "python";
import { make, svg } from "../shared/elements.js";
import { gradient } from "./response_map.js";

const HISTORY = 60; // answers in a sparkline

const FOLLOWED = "This detector cannot score a box, so its best detection of this class with an overlap of half or more "
  + "(IoU 0.5) is followed; 0 where there is none.";

const percent = (share) => `${Math.round(100 * share)} %`;
export const length = (share) => `${(100 * share).toFixed(1)}%`; // for style sheets
const height = (score) => 23 - 22 * score; // in the sparkline, from above

export class Panel {
  // help: what the keys do, for those who cannot see the picture.
  constructor(name, help) {
    this.name = name;
    this.history = [];
    this.element = make("figure", "ol-panel", undefined, { "data-detector": name });
    this.badge = make("span", "ol-badge");
    this.badge.title = "Found: a detection of this class covers the object and reaches the score from which detections are drawn";
    const caption = make("figcaption", "ol-caption");
    caption.append(make("span", "ol-name", name, { title: name }), this.badge);
    this.canvas = make("canvas", "ol-canvas", undefined, {
      tabindex: 0, role: "application", "aria-label": `The image as ${name} sees it. ${help}`,
    });
    this.element.append(caption, this.canvas, this.buildColourBar(), this.buildReadout());
  }

  buildColourBar() {
    this.colourBar = make("div", "ol-colour-bar");
    const strip = make("div", "ol-strip");
    strip.style.background = gradient();
    const ticks = make("div", "ol-ticks");
    this.ticks = [0, 0.5, 1].map((share) => [share, make("span")]);
    ticks.append(...this.ticks.map(([, tick]) => tick));
    this.mapLabel = make("span", "");
    this.mapText = make("span", "ol-number");
    const line = make("div", "ol-ticks");
    line.append(this.mapLabel, this.mapText);
    this.colourBar.append(strip, ticks, line);
    this.colourBar.hidden = true;
    return this.colourBar;
  }

  buildReadout() {
    const readout = make("div", "ol-readout");
    this.scoreText = make("div", "ol-score");
    const track = make("div", "ol-track");
    this.bar = make("div", "ol-bar");
    this.tick = make("div", "ol-before", undefined, { title: "without the occluder" });
    track.append(this.bar, this.tick);
    const spark = svg("svg", { class: "ol-spark", viewBox: `0 0 ${HISTORY} 24`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.sparkBefore = svg("line", { class: "ol-spark-before", x1: 0, x2: HISTORY }, spark);
    this.sparkLine = svg("polyline", { class: "ol-spark-line", points: "" }, spark);
    this.what = make("div", "ol-what");
    this.foundText = make("div", "wb-note ol-found-text");
    const history = make("div", "wb-note", `the same score at your last ${HISTORY} positions (0 to 1)`);
    readout.append(this.what, this.scoreText, track, spark, history, this.foundText);
    return readout;
  }

  // Show an answer about `thing`, the chosen object or null; `anew`: it is another one than before.
  show(result, thing, anew) {
    const { before, now, found, followed } = result.detectors[this.name];
    if (anew) this.history = [];
    if (now !== null) this.history = [...this.history, now].slice(-HISTORY);
    const seen = found !== null && found >= result.min_score;
    this.badge.textContent = !thing ? "" : seen ? "found" : "missed";
    this.badge.className = `ol-badge ${seen ? "ol-found" : "ol-missed"}`;
    this.badge.hidden = !thing || now === null;
    this.element.classList.toggle("ol-no-score", now === null);
    for (const element of [this.scoreText, this.what, this.foundText]) element.replaceChildren();
    if (!thing) this.scoreText.append("no object chosen");
    else if (now === null) this.scoreText.append(`does not know the class “${thing.name}”`);
    else this.showScore(before, now, found, seen, thing, followed);
  }

  // followed: the scores are those of detections that match, since the detector cannot score a box.
  showScore(before, now, found, seen, thing, followed) {
    const change = before > 0 ? (now - before) / before : 0;
    const [first, second] = [before.toFixed(2), now.toFixed(2)];
    const word = first === second ? "" : `${change < 0 ? "▼" : "▲"} ${percent(Math.abs(change))}`;
    const whose = thing.source === null ? "the true box" : thing.source === OWN ? "your box" : "the chosen box";
    this.what.append(followed ? "Best detection of " : "Score of ", make("strong", "", `“${thing.name}”`),
      ` ${followed ? "that matches" : "at"} ${whose}, without → with your occluder`);
    this.foundText.textContent = followed ? FOLLOWED
      : found === null ? "Its own detections: none matches the object"
        : `Its own best detection of the object: ${found.toFixed(2)}${seen ? "" : ", too low to be drawn"}`;
    this.scoreText.append(make("span", "ol-number", `${first} → `),
      make("strong", "ol-number", second), make("span", `ol-change ${change < 0 ? "ol-fell" : "ol-rose"}`, ` ${word}`));
    this.bar.style.width = length(now);
    this.tick.style.left = length(before);
    for (const end of ["y1", "y2"]) this.sparkBefore.setAttribute(end, height(before));
    const start = HISTORY - this.history.length;
    this.sparkLine.setAttribute("points", this.history.map((score, i) => `${start + i + 0.5},${height(score)}`).join(" "));
  }

  // The scale of a response map of `thing`, while one is drawn; `before` is its score without the occluder.
  showMapScale(drawn, thing, before) {
    this.colourBar.hidden = !drawn;
    if (drawn) for (const [share, tick] of this.ticks) tick.textContent = `${(share * before).toFixed(2)}${share === 1 ? ", as without it" : ""}`;
    if (thing) this.mapLabel.textContent = `score of “${thing.name}” with the occluder centred there`;
  }
}
