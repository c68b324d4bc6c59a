// The pictures: which are shown, how far they are, and the way from one to the next.

import { button, field, fill, make, select } from "../shared/elements.js";

const SIGNS = { open: "○", begun: "◐", done: "●", "left out": "⊘" };

export class PictureList {
  constructor(view) {
    this.view = view;
    this.element = make("div", "an-list");
    this.shown = select([], (value) => view.set({ show: value }), { "aria-label": "Which pictures" });
    this.having = select([], (value) => view.set({ having: value || null }), { "aria-label": "Only pictures with" });
    this.before = button("‹", () => view.jump(-1));
    this.before.setAttribute("aria-label", "Picture before");
    this.before.title = "Key ,";
    this.after = button("›", () => view.jump(1));
    this.after.setAttribute("aria-label", "Picture after");
    this.after.title = "Key .";
    this.next = button("Next open", () => view.next());
    this.next.title = "Key O: the next picture that is not done in this stage";
    this.reopen = button("Reopen", () => view.reopen());
    this.reopen.title = "There is more to do in this picture";
    this.place = make("span", "an-number");
    this.bar = make("progress", "", undefined, { max: 1, value: 0, "aria-label": "Done in this stage" });
    this.counts = make("span", "wb-note");
    this.rows = make("div", "an-rows", undefined, { role: "group", "aria-label": "Pictures" });
    const line = make("div", "wb-line");
    line.append(this.before, this.place, this.after, this.next, this.reopen);
    this.element.append(field("Show ", this.shown), field("with ", this.having), line, this.bar, this.counts, this.rows);
  }

  show(state) {
    fill(this.shown, state.shown.map((name) => [name, name]));
    this.shown.value = state.show;
    fill(this.having, [["", "any category"], ...state.groups.map(([name]) => [name, name])]);
    this.having.value = state.having ?? "";
    this.reopen.hidden = state.status !== "done";
    this.before.disabled = state.before === null;
    this.after.disabled = state.after === null;
    this.place.textContent = state.listed ? `${state.at + 1} of ${state.listed.toLocaleString()}` : "none";
    const { counts, total } = state;
    this.bar.value = (counts.done + counts["left out"]) / Math.max(1, total);
    this.counts.textContent = ["done", "begun", "open", "left out"].filter((name) => counts[name]).map((name) => `${counts[name].toLocaleString()} ${name}`).join(", ");
    this.rows.replaceChildren(...state.rows.map((row) => this.row(row, state.picture)));
    const here = this.rows.querySelector("[aria-current]");
    if (here) this.rows.scrollTop = Math.max(0, here.offsetTop - this.rows.offsetTop - this.rows.clientHeight / 2);
  }

  row({ place, name, status, problem }, picture) {
    const element = make("button", "an-row", undefined, { type: "button", title: `${name}: ${status}` });
    element.append(make("span", "an-sign", SIGNS[status], { role: "img", "aria-label": status }), make("span", "an-name", name));
    if (problem) element.append(make("span", "an-sign an-problem", "⚠", { role: "img", "aria-label": "problem" }));
    if (place === picture) element.setAttribute("aria-current", "true");
    element.addEventListener("click", () => this.view.open(place));
    return element;
  }
}
