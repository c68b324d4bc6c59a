// A category that nobody thought of before: its name, and the super-category in whose group its icon lies.

import { button, field, make } from "../shared/elements.js";

export class NewCategory {
  constructor(view) {
    this.view = view;
    this.opener = button("New category", () => this.show(this.element.hidden));
    this.opener.title = "Key C";
    this.name = this.text("Name of the new category");
    this.group = this.text("Its super-category", { list: `an-groups-${view.id}`, placeholder: "none" });
    this.known = make("datalist", "", undefined, { id: `an-groups-${view.id}` });
    this.element = make("form", "wb-line an-new");
    this.element.append(
      field("Name ", this.name), field("Super-category ", this.group), this.known,
      make("button", "wb-button an-primary", "Add", { type: "submit" }), button("Cancel", () => this.show(false)),
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.add();
    });
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.show(false);
    });
    this.show(false);
  }

  text(label, more = {}) {
    return make("input", "an-text", undefined, { type: "text", maxlength: 80, "aria-label": label, ...more });
  }

  show(open) {
    if (!open && this.element.contains(document.activeElement)) this.view.board.canvas.focus({ preventScroll: true });
    this.element.hidden = !open;
    this.opener.setAttribute("aria-expanded", String(open));
    if (!open) return;
    const groups = new Set(this.view.state.groups.map(([, group]) => group).filter(Boolean));
    this.known.replaceChildren(...[...groups].map((value) => make("option", "", undefined, { value })));
    this.name.value = this.group.value = "";
    this.name.focus();
  }

  async add() {
    const { ok, result } = await this.view.act("category", { name: this.name.value, supercategory: this.group.value });
    if (!ok) return;
    this.show(false);
    await this.view.set({ category: result.category });
  }
}
