// The row on top: the six stages, who works, undo, and whatever else is given.

import { button, field, make } from "../shared/elements.js";

export class Head {
  constructor(view, stages, ...more) {
    this.view = view;
    this.element = make("div", "wb-line an-head");
    this.tabs = make("div", "an-stages", undefined, { role: "tablist", "aria-label": "Stages" });
    this.buttons = stages.map((stage, i) => {
      const tab = button(`${i + 1} ${stage}`, () => view.go(stage), "an-stage");
      tab.setAttribute("role", "tab");
      tab.addEventListener("keydown", (event) => this.key(event, i));
      return tab;
    });
    this.stages = stages;
    this.tabs.append(...this.buttons);
    this.undo = button("↶ Undo", () => view.turn("undo"));
    this.undo.title = "Key U: takes your own last action back";
    this.redo = button("↷ Redo", () => view.turn("redo"));
    this.redo.title = "Key R";
    this.worker = make("input", "an-text an-worker", undefined, { type: "text", maxlength: 80, "aria-label": "Worker" });
    this.worker.addEventListener("change", () => view.set({ worker: this.worker.value }).then(({ ok }) => {
      if (!ok) this.worker.value = view.state.worker;
    }));
    const right = make("span", "wb-line an-right");
    right.append(...more, this.undo, this.redo, field("Worker ", this.worker));
    this.element.append(this.tabs, right);
  }

  show({ stage, undo, redo, worker }) {
    this.buttons.forEach((tab, i) => {
      const here = this.stages[i] === stage;
      tab.setAttribute("aria-selected", String(here));
      tab.tabIndex = here ? 0 : -1;
    });
    this.undo.disabled = !undo;
    this.redo.disabled = !redo;
    if (document.activeElement !== this.worker) this.worker.value = worker;
  }

  key(event, i) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const next = (i + step + this.stages.length) % this.stages.length;
    this.view.go(this.stages[next]);
    this.buttons[next].focus();
  }
}
