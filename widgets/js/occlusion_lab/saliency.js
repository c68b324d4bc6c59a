// What the chosen object rests on: asked for, growing, asked anew as the occluder moves where that is quick, and judged.

import { bitmap } from "../shared/canvas.js";
import { button, make, progressBar, select } from "../shared/elements.js";

const percent = (share) => `${Math.round(100 * share)} %`;

export class Explaining {
  // view: its `model` and `result`; `paint` is called after each change.
  constructor(view) {
    this.view = view;
    this.element = make("span", "wb-line ol-map-tools");
    this.button = button("Show saliency", () => this.toggle(), "ol-map-button");
    this.button.title = "What the score of the chosen object rests on, in the picture as it is seen now";
    this.method = select([], () => this.again(), { "aria-label": "Method of saliency" });
    this.judging = button("Judge it", () => this.judge());
    this.judging.title = "Deletion and insertion: does the score fall without what is bright, and rise with it alone?";
    this.progress = progressBar("Saliency");
    this.element.append(this.button, this.method, this.judging, this.progress);
    this.lines = new Map(); // detector → where its text stands
    this.forget();
  }

  forget() {
    this.on = this.inFlight = false;
    this.key = null; // what the pictures are of
    this.pictures = new Map();
    this.texts = new Map();
    this.show();
  }

  // methods: name → whether it is quick.
  offer(methods) {
    this.methods = methods;
    this.method.replaceChildren(...Object.keys(methods).map((name) => make("option", "", name, { value: name })));
    this.element.hidden = Object.keys(methods).length === 0;
  }

  get quick() {
    return this.methods?.[this.method.value] ?? false;
  }

  addLine(panel) {
    const line = make("div", "wb-note ol-saliency-text");
    panel.element.append(line);
    this.lines.set(panel.name, line);
  }

  get kind() { // a map belongs to one object and one place of the occluder
    const { box, chosen, texture, outline } = this.view.result;
    return JSON.stringify([chosen, ...box, texture, outline]);
  }

  toggle() {
    if (this.on) {
      this.stop();
      return;
    }
    this.on = true;
    this.ask();
  }

  stop() {
    this.view.model.send({ kind: "stop-saliency" });
    this.forget();
    this.view.paint();
  }

  again() {
    if (!this.on) return;
    this.inFlight = false;
    this.ask();
  }

  ask() {
    if (this.inFlight) return;
    this.inFlight = true;
    this.asked = this.kind;
    this.view.model.send({ kind: "saliency", method: this.method.value });
    this.show();
  }

  judge() {
    this.judging.disabled = true;
    this.view.model.send({ kind: "judge-saliency" });
  }

  // Another state has come: quick maps are made anew, others make way.
  follow() {
    if (!this.on || this.kind === (this.key ?? this.asked)) return;
    if (this.quick) this.ask();
    else this.stop();
  }

  // Another region has the place of the one before.
  renew() {
    if (!this.on) return;
    this.key = null;
    if (this.quick) this.ask();
    else this.stop();
  }

  failed() {
    this.forget();
    this.view.paint();
  }

  async take(message, buffers) {
    const pictures = await Promise.all(buffers.map((one) => bitmap(one)));
    if (!this.on) return; // on its way when it was stopped
    this.key = JSON.stringify(message.key);
    this.pictures = new Map(message.names.map((name, i) => [name, pictures[i]]));
    this.texts = new Map(message.names.map((name, i) => [name, this.where(message, i)]));
    for (const [name, text] of Object.entries(message.failed)) this.texts.set(name, text);
    this.progress.value = message.done;
    if (message.done >= 1) this.inFlight = false;
    this.show();
    this.view.paint();
    if (!this.inFlight) this.follow();
  }

  where({ method, energy, chance }, i) {
    if (energy[i] === null) return `${method}: nothing speaks for the object`;
    return `${method}: ${percent(energy[i])} of what speaks for it lies in its box, ${percent(chance[i])} by chance`;
  }

  unlock() {
    this.judging.disabled = false;
  }

  takeAreas({ key, areas }) {
    this.unlock();
    if (JSON.stringify(key) !== this.key) return;
    for (const [name, [deletion, insertion, box, boxed]] of Object.entries(areas)) {
      const numbers = [deletion, box, insertion, boxed].map((area) => area.toFixed(3));
      this.lines.get(name)?.append(make("div", "ol-number",
        `deletion ${numbers[0]} (middle of the box: ${numbers[1]}), insertion ${numbers[2]} (${numbers[3]})`));
    }
  }

  // The picture of a detector while its map fits what is seen; quick ones stay until the next has come.
  picture(name) {
    const fits = this.on && this.key !== null && (this.quick || this.key === this.kind);
    return fits ? this.pictures.get(name) ?? null : null;
  }

  show() {
    this.button.textContent = this.on ? "Hide saliency" : "Show saliency";
    this.progress.hidden = !(this.on && this.inFlight && !this.quick);
    this.judging.hidden = !this.on || this.key === null || this.inFlight;
    for (const [name, line] of this.lines) line.textContent = this.on ? this.texts.get(name) ?? "" : "";
  }

  possible(chosen) {
    this.button.disabled = !chosen;
  }
}
