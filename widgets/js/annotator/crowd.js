// Crowd labelling: a brush for all instances of a category beyond ten, one stroke an action.

import { button, checkbox, field, make } from "../shared/elements.js";
import { colourOf, paintLayer, tinted } from "./marks.js";
import { decodeRuns, encodeRuns } from "./runs.js";
import { Tool, disc } from "./tool.js";

export class Crowd extends Tool {
  help = "Paint over all further instances of the category; they become one crowd, which no detector is scored on. Drag to paint, "
    + "Shift + drag moves the picture. By keyboard: arrow keys, Space puts the brush down and lifts it, [ and ] change its size, "
    + "B changes between brush and eraser.";

  constructor(view) {
    super(view);
    this.layer = null; // canvas of what is painted, of the picture's size
    this.stroke = null; // the last point of a stroke
    this.sending = this.waiting = false;
    this.icon = make("span", "");
    this.erasing = checkbox(false, () => this.board.paint());
    this.radius = make("input", "", undefined, { type: "range", min: 1, max: 60, value: 12, "aria-label": "Size of the brush" });
    this.radius.addEventListener("input", () => this.board.paint());
    this.clear = button("Remove this crowd", () => this.removeAll());
    this.note = make("div", "wb-note");
    const line = make("div", "wb-line");
    line.append(this.icon, field("Category ", this.categorySelect()), field("Brush ", this.radius), field(this.erasing, " eraser"), this.clear, this.doneButton());
    this.element.append(line, this.note);
  }

  get entry() { // the crowd of the category in this picture
    return this.view.objects.find(({ crowd, category }) => crowd && category === this.state.category) ?? null;
  }

  get unsaved() {
    return this.sending;
  }

  get size() { // of the brush: its radius in pixels
    return Number(this.radius.value) / this.board.viewport.scale;
  }

  show(anew) {
    this.showCategories(this.names);
    this.icon.replaceChildren(...(this.state.category ? [disc(this.names, this.state.category)] : []));
    this.clear.disabled = !this.entry;
    const number = this.view.objects.filter(({ crowd, category }) => !crowd && category === this.state.category).length;
    this.note.textContent = `${number} single instances of ${this.state.category} have an outline; crowds are for what is beyond ten.`;
    if (anew || (!this.stroke && !this.sending)) this.load();
  }

  load() {
    const [width, height] = this.board.size;
    const mask = this.entry?.mask ?? (this.entry?.runs ? decodeRuns(this.entry.runs, width, height) : null);
    this.layer = mask ? tinted(mask, width, height, this.colour, 255) : new OffscreenCanvas(width, height);
    this.board.paint();
  }

  get colour() {
    return colourOf(this.names, this.state.category);
  }

  dab(from, to) {
    const context = this.layer.getContext("2d");
    context.globalCompositeOperation = this.erasing.checked ? "destination-out" : "source-over";
    context.strokeStyle = context.fillStyle = this.colour;
    context.lineWidth = 2 * this.size;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    context.beginPath();
    context.arc(...to, this.size, 0, 7);
    context.fill();
  }

  // At most one stroke is on its way; what was painted meanwhile goes with the next one.
  async send() {
    if (this.sending) {
      this.waiting = true;
      return;
    }
    this.sending = true;
    const [width, height] = this.board.size;
    const { data } = this.layer.getContext("2d").getImageData(0, 0, width, height);
    const mask = new Uint8Array(width * height);
    for (let i = 0; i < mask.length; i += 1) mask[i] = data[4 * i + 3] > 127 ? 1 : 0;
    const { entry } = this;
    const values = { category: this.state.category, counts: encodeRuns(mask, width, height) };
    const empty = !mask.some((value) => value);
    const { ok } = entry || !empty ? await this.act("paint", entry ? { ...values, annotation: entry.id, seen: entry.seen } : values) : { ok: false };
    this.sending = false;
    if (this.waiting && ok) {
      this.waiting = false;
      this.send();
    } else if (!this.stroke) {
      this.waiting = false;
      this.load();
    }
  }

  removeAll() {
    const { entry } = this;
    if (entry) this.act("delete", { annotation: entry.id, seen: entry.seen });
  }

  paint(context, viewport, size) {
    this.paintObjects(context, viewport, size, { except: this.entry?.id });
    if (this.layer) {
      context.globalAlpha = 0.5;
      paintLayer(context, viewport, this.layer, size);
      context.globalAlpha = 1;
    }
    const at = this.board.cursor ? viewport.toCanvas(this.board.cursor) : this.board.pointer;
    if (!at) return;
    for (const [colour, width] of [["#000", 3], [this.erasing.checked ? "#ff6b6b" : "#fff", 1.5]]) {
      context.beginPath();
      context.arc(...at, this.size * viewport.scale, 0, 7);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }
  }

  cursorAt() {
    return "none";
  }

  hover() {
    this.board.paint();
  }

  down(point, event) {
    if (event.button !== 0 || !this.board.holds(point)) return false;
    this.stroke = point;
    this.dab(point, point);
    return true;
  }

  drag(point) {
    if (!this.stroke) return;
    this.dab(this.stroke, point);
    this.stroke = point;
  }

  drop(point) {
    if (!this.stroke) return;
    if (point) this.dab(this.stroke, point);
    this.stroke = null;
    this.send();
  }

  keyMoved(point) {
    if (this.stroke) this.drag(point);
  }

  key(event, here) {
    if (event.key === " ") {
      if (this.stroke) this.drop(here());
      else {
        this.stroke = here();
        this.dab(this.stroke, this.stroke);
      }
    } else if (event.key === "[" || event.key === "]") {
      this.radius.value = Number(this.radius.value) + (event.key === "[" ? -2 : 2);
    } else if (event.key === "b") {
      this.erasing.checked = !this.erasing.checked;
    } else if (event.key === "d") {
      this.finish();
    } else {
      return false;
    }
    this.board.paint();
    return true;
  }
}
