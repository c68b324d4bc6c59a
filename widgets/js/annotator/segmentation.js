// Instance segmentation: an outline of points that can be moved, of what is seen and, as an option, of the whole object.

import { CHOSEN } from "python";
import { button, checkbox, field, make, select } from "../shared/elements.js";
import { areaOf, Outline, toPoints, within } from "./outline.js";
import { colourOf, paintCross, paintName, paintPoint, strokeRings } from "./marks.js";
import { Tool, disc } from "./tool.js";

const GOLD = "#80ed99"; // of the known outline of an example
const QUIET = 250; // milliseconds without a change before it is kept for a page that is loaded anew

export class Segmentation extends Tool {
  help = "Click to set points, click the first one (or press Enter) to close the outline, and Enter again saves it. Drag points; "
    + "click a side for a new one; right-click removes one. Drag beside the outline to move the picture, + − 0 or the wheel zoom. "
    + "By keyboard: arrow keys move the cursor (Shift far, Alt by one pixel), Space sets a point, M takes the point at the cursor "
    + "along, Backspace removes the last one, Escape discards. P: another part of the same object. E edits the segment at the "
    + "cursor, Delete removes it. W: outline of the whole object. S: suggestions. L: none left. X: no such object. H hides segments.";

  constructor(view) {
    super(view);
    this.outline = null;
    this.held = null; // the point that is dragged, or that the cursor takes along
    this.suggestions = [];
    this.offered = -1; // which of them is looked at
    this.result = null; // of an example
    this.build();
  }

  build() {
    this.icon = make("span", "");
    this.text = make("div", "an-task");
    this.save = button("Save", () => this.keep(), "an-primary");
    this.discard = button("Discard", () => this.drop_());
    this.part = button("Another part", () => this.newPart());
    this.part.title = "Key P: for an object that something cuts in two";
    this.layer = select([["visible", "what is seen"], ["whole", "the whole object"]], (value) => this.turn(value), { "aria-label": "Outline of" });
    this.none = button("None left", () => this.claim("none left"));
    this.none.title = "Key L: all instances of this category have their outline";
    this.false = button("No such object", () => this.claim("no such object"));
    this.false.title = "Key X: the picture has no instance of this category";
    this.suggest = button("Suggest", () => this.ask());
    this.suggest.title = "Key S: outlines by a detector; again: the next one";
    this.showing = checkbox(true, () => { this.hidden = !this.showing.checked; this.board.paint(); });
    this.list = make("div", "an-objects", undefined, { role: "group", "aria-label": "Segments of this picture" });
    const first = make("div", "wb-line");
    first.append(this.icon, field("Category ", this.categorySelect()), field("Outline of ", this.layer), this.suggest, field(this.showing, " show segments"));
    const second = make("div", "wb-line");
    second.append(this.save, this.discard, this.part, this.none, this.false, this.doneButton());
    this.element.append(first, this.text, second, this.list);
  }

  close() {
    clearTimeout(this.keeping);
  }

  // ---- state ---------------------------------------------------------------------------------------------------

  get example() {
    return this.picture.example ?? null;
  }

  get targets() { // crosses on instances that have no segment yet
    return this.picture.crosses.filter(({ category, covered }) => category === this.state.category && !covered);
  }

  // Whether something would be lost.
  get unsaved() {
    return this.outline !== null && !this.outline.empty;
  }

  show(anew, first) {
    if (anew) {
      this.outline = this.held = null;
      this.suggestions = [];
      this.offered = -1;
      if (!this.example) this.result = null;
      const { draft } = this.picture;
      if (first && draft?.image === this.picture.name) this.outline = Outline.again(draft.outline);
    }
    this.showCategories(this.names, (name) => this.marked(name));
    this.fill();
  }

  marked(name) {
    const number = this.picture.objects.filter(({ category }) => category === name).length;
    const claim = this.picture.claims[name];
    return `${number ? ` (${number})` : ""}${claim ? `: ${claim}` : ""}`;
  }

  fill() {
    const { outline, example } = this;
    const { category } = this.state;
    this.icon.replaceChildren(...(category ? [disc(this.names, category)] : []));
    this.text.textContent = this.task();
    this.save.textContent = example ? "Compare" : outline?.about.annotation !== undefined ? "Save changes" : "Save";
    this.save.disabled = !outline || outline.empty;
    this.discard.disabled = !this.unsaved && this.suggestions.length === 0;
    this.part.disabled = !outline || outline.empty;
    this.layer.value = outline?.layer ?? "visible";
    this.layer.disabled = !outline || outline.empty || Boolean(example);
    this.suggest.hidden = !this.state.suggests || Boolean(example);
    for (const one of [this.none, this.false, this.done]) one.disabled = Boolean(example) || this.unsaved;
    this.list.hidden = Boolean(example);
    this.fillList();
    this.board.paint();
  }

  task() {
    const { category } = this.state;
    if (this.result) return this.verdict();
    if (this.example) {
      return `Training: outline the ${category} in the dashed box as well as you can. It is compared with a known outline; `
        + `from an overlap of ${Math.round(100 * this.example.iou)} % on you can annotate.`;
    }
    const { outline } = this;
    if (outline?.open) return `${outline.rings.at(-1).length} points. Click the first point or press Enter to close the outline.`;
    if (outline?.layer === "whole") return "Move the points to where the object would end if nothing hid it; Enter saves both outlines.";
    if (this.unsaved) return "Drag points until it fits; Enter saves it.";
    if (this.suggestions.length) return "Click a dashed outline (or press S for the next, Enter to take it), Escape hides them.";
    const left = this.targets.length;
    if (left) return `${left} marked ${category} ${left === 1 ? "has" : "have"} no outline yet. Outline the one with the yellow cross.`;
    return `Outline an instance of ${category}, or say that none is left.`;
  }

  verdict() {
    const percent = (share) => `${Math.round(100 * share)} %`;
    const { overlap, missing, beyond, passed } = this.result;
    const parts = `Overlap ${percent(overlap)}: ${percent(missing)} of the object are missing, ${percent(beyond)} of your outline are beyond it.`;
    return passed ? `${parts} Well done: Enter goes on to the pictures.` : `${parts} Move the points to the green outline and compare again.`;
  }

  fillList() {
    const rows = this.view.objects.map((one, i) => {
      const row = make("span", "an-object");
      const text = `${i + 1}: ${one.category}${one.crowd ? ", crowd" : ""}${one.wrong ? ", broken" : ""}`;
      const edit = button(text, () => this.edit(one), "an-link");
      edit.title = one.crowd ? "Crowds are painted in their own stage" : one.wrong ?? "Edit this outline";
      edit.disabled = one.crowd;
      edit.addEventListener("pointerenter", () => this.light(one.id));
      edit.addEventListener("pointerleave", () => this.light(null));
      edit.addEventListener("focus", () => this.light(one.id));
      edit.addEventListener("blur", () => this.light(null));
      const remove = button("✕", () => this.remove(one), "an-link");
      remove.setAttribute("aria-label", `Remove segment ${text}`);
      row.append(disc(this.names, one.category), edit, remove);
      return row;
    });
    this.list.replaceChildren(...(rows.length ? rows : [make("span", "wb-note", "No segment in this picture yet.")]));
  }

  light(id) {
    this.lit = id;
    this.board.paint();
  }

  changed() {
    this.fill();
    clearTimeout(this.keeping);
    const image = this.picture.name;
    this.keeping = setTimeout(() => {
      const outline = this.outline && !this.example ? this.outline.kept : null;
      this.view.tell({ kind: "draft", draft: outline && { image, outline } });
    }, QUIET);
  }

  // ---- actions -------------------------------------------------------------------------------------------------

  begin(about = {}) {
    this.outline = new Outline({ began: performance.now(), ...about });
    return this.outline;
  }

  add(point) {
    if (this.result?.passed) return;
    (this.outline ?? this.begin()).add(point);
    this.changed();
  }

  newPart() {
    this.outline?.close();
    this.view.say("Another part: set its points");
    this.part_ = true; // the next click is a point, wherever it is
    this.changed();
  }

  turn(layer) {
    this.outline?.turn(layer);
    this.changed();
  }

  drop_() {
    this.outline = this.held = null;
    this.suggestions = [];
    this.offered = -1;
    this.changed();
  }

  async keep() {
    const { outline } = this;
    if (this.result?.passed) {
      this.result = null;
      this.outline = null;
      await this.view.renew();
      return;
    }
    if (!outline) return;
    outline.close();
    if (!outline.complete) {
      this.view.fail("An outline needs three points or more that are not on one line.");
      this.fill();
      return;
    }
    if (this.example) return void this.compare(outline);
    const { annotation, seen, began, suggested = "" } = outline.about;
    const seconds = Math.max(0, (performance.now() - (began ?? performance.now())) / 1000);
    const values = { category: this.state.category, ...outline.shape, seconds };
    const { ok } = annotation === undefined
      ? await this.act("segment", { ...values, suggested }) : await this.act("change", { ...values, annotation, seen });
    if (!ok || this.outline !== outline) return;
    this.outline = null;
    this.suggestions = this.suggestions.filter((one) => one.taken !== true);
    clearTimeout(this.keeping);
    this.view.say("saved");
    this.fill();
  }

  async compare(outline) {
    const { ok, result } = await this.view.ask({ kind: "train", rings: outline.shape.rings, category: this.state.category });
    if (!ok) return;
    this.result = { ...result, gold: result.gold.map(toPoints) };
    this.fill();
    this.view.say(this.verdict());
  }

  async edit(one) {
    if (this.view.busy()) return;
    const { ok, result } = await this.view.ask({ kind: "trace", annotation: one.id });
    if (!ok) return;
    if (one.category !== this.state.category && this.names.includes(one.category)) await this.view.set({ category: one.category });
    this.outline = Outline.from(result, one.amodal, { annotation: one.id, seen: one.seen, began: performance.now() });
    this.changed();
    this.board.canvas.focus({ preventScroll: true });
  }

  remove(one) {
    if (this.outline?.about.annotation === one.id) this.drop_();
    this.act("delete", { annotation: one.id, seen: one.seen });
  }

  claim(claim) {
    if (this.example || this.view.busy()) return;
    this.act("claim", { category: this.state.category, claim });
  }

  async ask() {
    if (this.unsaved || this.example || !this.state.suggests) return;
    if (this.suggestions.length) {
      this.offered = (this.offered + 1) % this.suggestions.length;
      this.view.say(this.words(this.suggestions[this.offered]));
      this.board.paint();
      return;
    }
    if (this.asking) return;
    this.asking = true;
    const { ok, result } = await this.view.ask({ kind: "suggest" });
    this.asking = false;
    if (!ok) return;
    this.suggestions = result.map((one) => ({ ...one, points: one.rings.map(toPoints) }));
    if (!result.length) this.view.say("No suggestion for this picture", true);
    this.fill();
  }

  words({ category, score, source }) {
    return `${category ?? "object"} ${score.toFixed(2)} (${source})`;
  }

  async take(one) {
    one.taken = true;
    if (one.category && one.category !== this.state.category) await this.view.set({ category: one.category });
    this.outline = Outline.from(one.rings, null, { began: performance.now(), suggested: one.source });
    this.changed();
  }

  // ---- drawing -------------------------------------------------------------------------------------------------

  paint(context, viewport, size) {
    const colour = colourOf(this.names, this.state.category);
    const edited = this.outline?.about.annotation;
    if (!this.example) this.paintObjects(context, viewport, size, { strong: this.lit ?? null, except: edited });
    if (this.example) this.paintExample(context, viewport);
    else if (!this.unsaved) this.paintTargets(context, viewport, colour);
    if (!this.unsaved) this.paintSuggestions(context, viewport);
    if (this.outline) this.paintOutline(context, viewport, colour);
  }

  paintExample(context, viewport) {
    const [x1, y1, x2, y2] = this.example.box;
    strokeRings(context, viewport, [[[x1, y1], [x2, y1], [x2, y2], [x1, y2]]], CHOSEN, { width: 1.5, dashes: [6, 5] });
    if (this.result) strokeRings(context, viewport, this.result.gold, GOLD, { width: 2, fill: `${GOLD}40` });
  }

  paintTargets(context, viewport, colour) {
    [...this.targets].reverse().forEach(({ point }, i, all) => {
      const first = i === all.length - 1;
      paintCross(context, viewport, point, first ? CHOSEN : colour, first ? 11 : 7);
    });
  }

  paintSuggestions(context, viewport) {
    this.suggestions.forEach((one, i) => {
      const here = i === this.offered;
      strokeRings(context, viewport, one.points, here ? CHOSEN : "#ffffff", { width: here ? 2.5 : 1.5, dashes: [5, 4], fill: here ? `${CHOSEN}30` : null });
    });
    const one = this.suggestions[this.offered];
    if (one) paintName(context, viewport, one.points[0][0], this.words(one), CHOSEN);
  }

  paintOutline(context, viewport, colour) {
    const { outline } = this;
    const other = outline.layer === "visible" ? "whole" : "visible";
    if (outline.layers[other].length) strokeRings(context, viewport, outline.layers[other], colour, { width: 1, dashes: [4, 4] });
    const closed = outline.open ? outline.rings.slice(0, -1) : outline.rings;
    if (closed.length) strokeRings(context, viewport, closed, colour, { width: 2, fill: `${colour}38` });
    if (outline.open) {
      const points = outline.rings.at(-1);
      const end = this.board.cursor ?? (this.board.pointer && !this.board.grab ? this.board.viewport.toPicture(this.board.pointer) : null);
      strokeRings(context, viewport, [end ? [...points, end] : points], colour, { width: 2, closed: false });
    }
    for (const points of outline.rings) points.forEach((point, i) => paintPoint(context, viewport, point, i === 0 && points === outline.rings.at(-1) && outline.open ? CHOSEN : "#ffffff", this.isHeld(points, i)));
  }

  isHeld(points, at) {
    return this.held !== null && this.outline.rings[this.held.ring] === points && this.held.at === at;
  }

  // ---- mouse ---------------------------------------------------------------------------------------------------

  hover() {
    if (this.outline?.open) this.board.paint();
  }

  cursorAt(point) {
    if (this.outline?.pointAt(point, this.reach())) return "move";
    if (this.outline && !this.outline.open && this.outline.sideAt(point, this.reach(6))) return "copy";
    return "crosshair";
  }

  down(point, event) {
    const { outline } = this;
    if (!outline || this.result?.passed) return false;
    const hit = outline.pointAt(point, this.reach());
    if (hit && event.button === 2) {
      outline.remove(hit);
      if (outline.empty) this.outline = null;
      this.changed();
      return true;
    }
    if (event.button !== 0) return false;
    const last = outline.rings.length - 1;
    if (hit && outline.open && hit.ring === last && hit.at === 0 && outline.rings[last].length >= 3) {
      outline.close();
      this.changed();
      return true;
    }
    if (hit) {
      this.held = hit;
      return true;
    }
    const side = outline.open || this.part_ ? null : outline.sideAt(point, this.reach(6));
    if (side) this.held = outline.insert(side);
    return Boolean(side);
  }

  drag(point) {
    if (this.held) this.outline.move(this.held, point);
  }

  drop(point) {
    if (!this.held) return;
    if (point) this.outline.move(this.held, point);
    this.held = null;
    this.changed();
  }

  click(point, event) {
    if (event.button !== 0) return;
    if (!this.unsaved && this.suggestions.length) {
      const hits = this.suggestions.filter((one) => within(one.points, point));
      const size = (one) => one.points.reduce((sum, ring) => sum + areaOf(ring), 0);
      if (hits.length) return void this.take(hits.sort((a, b) => size(a) - size(b))[0]);
    }
    if (this.unsaved && !this.outline.open && !this.part_) {
      this.view.say("Enter saves this outline, Escape discards it, P begins another part of the same object", true);
      return;
    }
    this.part_ = false;
    this.add(point);
  }

  // ---- keyboard ------------------------------------------------------------------------------------------------

  keyMoved(point) {
    if (!this.held) return;
    this.outline.move(this.held, point);
    this.changed();
  }

  objectAt(point) {
    const [x, y] = point.map(Math.floor);
    const hit = ({ points, mask }) => (mask ? Boolean(mask[y * this.board.size[0] + x]) : within(points, point));
    const hits = this.view.objects.filter(hit);
    const size = (one) => (one.mask ? Infinity : one.points.reduce((sum, ring) => sum + areaOf(ring), 0));
    return hits.sort((a, b) => size(a) - size(b))[0] ?? null;
  }

  key(event, here) {
    const action = {
      " ": () => this.set(here()), Enter: () => this.enter(), Escape: () => this.drop_(), Backspace: () => this.back(),
      m: () => this.hold(here()), p: () => this.newPart(), e: () => this.editAt(here()), Delete: () => this.removeAt(here()),
      w: () => this.turn(this.outline?.layer === "visible" ? "whole" : "visible"), s: () => this.ask(),
      l: () => this.claim("none left"), x: () => this.claim("no such object"), d: () => this.example || this.finish(),
      h: () => { this.showing.checked = this.hidden; this.hidden = !this.hidden; this.board.paint(); },
    }[event.key];
    if (!action) return false;
    action();
    return true;
  }

  set(point) {
    if (this.held) {
      this.held = null;
      this.changed();
    } else if (this.outline?.open && this.outline.rings.at(-1).length >= 3 && this.firstAt(point)) {
      this.outline.close();
      this.changed();
    } else {
      this.click(point, { button: 0 });
    }
  }

  firstAt(point) {
    const hit = this.outline.pointAt(point, this.reach());
    return hit?.ring === this.outline.rings.length - 1 && hit.at === 0;
  }

  enter() {
    const { outline } = this;
    if (outline?.open && outline.rings.at(-1).length >= 3) {
      outline.close();
      this.changed();
    } else if (!this.unsaved && this.offered >= 0) {
      this.take(this.suggestions[this.offered]);
    } else {
      this.keep();
    }
  }

  back() {
    if (!this.outline) return;
    this.outline.removeLast();
    if (this.outline.empty) this.outline = null;
    this.changed();
  }

  hold(point) {
    if (this.held) this.held = null;
    else this.held = this.outline?.pointAt(point, this.reach(14)) ?? null;
    this.view.say(this.held ? "The point moves with the cursor; M or Space puts it down" : "no point at the cursor");
    this.changed();
  }

  editAt(point) {
    const one = this.objectAt(point);
    if (one && !one.crowd) this.edit(one);
  }

  removeAt(point) {
    const hit = this.outline?.pointAt(point, this.reach(14));
    if (hit) {
      this.outline.remove(hit);
      if (this.outline.empty) this.outline = null;
      this.changed();
      return;
    }
    const one = this.unsaved ? null : this.objectAt(point);
    if (one) this.remove(one);
  }
}
