// What the tools of all stages with a picture have in common; each is given the view, and shows itself beside it.

import { button, fill, make, select } from "../shared/elements.js";
import { colourOf, paintObject, shortOf } from "./marks.js";

// A category as a disc with two letters.
export function disc(names, name) {
  const icon = make("span", "an-disc", shortOf(name), { "aria-hidden": "true" });
  icon.style.background = colourOf(names, name);
  return icon;
}

export class Tool {
  constructor(view) {
    this.view = view;
    this.element = make("div", "an-tool");
    this.hidden = false; // whether segments are hidden
  }

  close() {}

  get board() {
    return this.view.board;
  }

  get picture() {
    return this.view.picture;
  }

  get state() {
    return this.view.state;
  }

  get names() {
    return this.view.names;
  }

  // An action about this picture; resolves to what Python answers.
  act(what, values = {}, more = {}) {
    return this.view.act(what, { image: this.picture.name, ...values }, more);
  }

  reach(pixels = 9) { // CSS pixels in those of the picture
    return pixels / this.board.viewport.scale;
  }

  // The select of the category that is worked on.
  categorySelect() {
    this.category = select([], (value) => this.view.set({ category: value }), { "aria-label": "Category" });
    return this.category;
  }

  showCategories(names, marked = () => "") {
    fill(this.category, names.map((name) => [name, `${name}${marked(name)}`]));
    this.category.value = this.state.category ?? "";
  }

  // The last button of every stage.
  doneButton() {
    this.done = button("Done, next picture", () => this.finish(), "an-primary");
    this.done.title = "Key D";
    return this.done;
  }

  async finish() {
    if (this.view.busy()) return;
    await this.act("finish", {}, { next: true });
  }

  // strong: the id of one that stands out; except: of one that is not painted.
  paintObjects(context, viewport, size, { strong = null, except } = {}) {
    if (this.hidden) return;
    for (const one of this.view.objects) if (one.id !== except) paintObject(context, viewport, one, size, one.id === strong);
  }

  // What a subclass may answer.
  show() {}
  paint() {}
  down() { return false; }
  drag() {}
  drop() {}
  click() {}
  key() { return false; }
}
