// Instance spotting: a cross on each instance of a category, at most ten; the icon of the labelling blinks.

import { MOST_CROSSES } from "python";
import { button, checkbox, field, make } from "../shared/elements.js";
import { colourOf, paintCross, paintIcon } from "./marks.js";
import { Tool, disc } from "./tool.js";

const BLINK = 550; // milliseconds

export class Spotting extends Tool {
  help = `Click on every instance of the category, at most ${MOST_CROSSES}; a click on a cross takes it away. By keyboard: arrow keys, `
    + "Space, Delete. G is the magnifying glass, which doubles what is below the pointer; N goes to the next category.";

  constructor(view) {
    super(view);
    this.seen = true; // whether the icon is there now
    this.icon = make("span", "");
    this.count = make("strong", "");
    this.glass = checkbox(false, () => this.board.setGlass(this.glass.checked));
    this.next = button("", () => this.all(), "an-primary");
    this.next.title = "Key N";
    this.note = make("div", "wb-note");
    const line = make("div", "wb-line");
    line.append(this.icon, field("Category ", this.categorySelect()), this.count, field(this.glass, " magnifying glass"), this.next);
    this.element.append(line, this.note);
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!still) this.blinking = setInterval(() => { this.seen = !this.seen; this.board.paint(); }, BLINK);
  }

  close() {
    clearInterval(this.blinking);
    this.board.setGlass(false);
  }

  get offered() { // categories to spot: those that somebody has labelled, or all
    const labelled = this.names.filter((name) => this.picture.labels.some(({ category }) => category === name));
    return labelled.length ? labelled : this.names;
  }

  get mine() {
    return this.picture.crosses.filter(({ mine, category }) => mine && category === this.state.category);
  }

  show() {
    const { offered } = this;
    const done = (name) => this.picture.spotted.includes(name);
    if (!offered.includes(this.state.category)) {
      const first = offered.find((name) => !done(name)) ?? offered[0];
      if (first !== undefined && !this.asked) {
        this.asked = true;
        this.view.set({ category: first }).then(() => { this.asked = false; });
      }
    }
    this.showCategories(offered, (name) => (done(name) ? " ✓" : ""));
    this.icon.replaceChildren(...(this.state.category ? [disc(this.names, this.state.category)] : []));
    this.count.textContent = `${this.mine.length} of at most ${MOST_CROSSES}`;
    const left = offered.filter((name) => !done(name) && name !== this.state.category);
    this.next.textContent = left.length ? `All marked, next: ${left[0]} ›` : "All marked, next picture";
    const full = this.mine.length >= MOST_CROSSES;
    this.note.textContent = full ? "Ten are marked. Are there more? They are painted in the stage crowd." : "The blinking icon is one that was found before.";
  }

  async all() {
    const { category } = this.state;
    const left = this.offered.filter((name) => !this.picture.spotted.includes(name) && name !== category);
    const { ok } = await this.act("spotted", { category });
    if (ok && left.length) await this.view.set({ category: left[0] });
    else if (ok) await this.finish();
  }

  crossAt(point) {
    return this.mine.find(({ point: [x, y] }) => Math.hypot(x - point[0], y - point[1]) <= this.reach(12));
  }

  paint(context, viewport, size) {
    const colour = colourOf(this.names, this.state.category);
    this.paintObjects(context, viewport, size);
    for (const { category, point } of this.picture.labels) {
      if (category === this.state.category && this.seen) paintIcon(context, viewport, point, category, colour);
    }
    for (const { point } of this.mine) paintCross(context, viewport, point, colour);
  }

  cursorAt(point) {
    return this.crossAt(point) ? "pointer" : "crosshair";
  }

  click(point) {
    const cross = this.crossAt(point);
    if (cross) this.act("uncross", { cross: cross.id });
    else this.act("cross", { category: this.state.category, point });
  }

  key(event, here) {
    if (event.key === " ") this.click(here());
    else if (event.key === "n") this.all();
    else if (event.key === "Delete" || event.key === "Backspace") {
      const cross = this.crossAt(here());
      if (cross) this.act("uncross", { cross: cross.id });
    } else return false;
    return true;
  }
}
