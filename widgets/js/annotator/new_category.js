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
    this.element = make("div", "wb-line an-new", undefined, { role: "group", "aria-label": "New category" });
    this.element.append(
      field("Name ", this.name), field("Super-category ", this.group), this.known,
      button("Add", () => this.add(), "an-primary"), button("Cancel", () => this.show(false)),
    );
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.show(false);
  }

  text(label, more = {}) {
    return make("input", "an-text", undefined, { type: "text", maxlength: 80, "aria-label": label, ...more });
  }

  // Enter in a text adds it; not by a form, which JupyterLab does not submit.
  key(event) {
    if (event.key === "Escape") this.show(false);
    else if (event.key === "Enter" && event.target.tagName === "INPUT") this.add();
    else return;
    event.preventDefault();
    event.stopPropagation();
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
