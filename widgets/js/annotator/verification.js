// Verification: a grid of segments, of which some are known to be bad; a worker marks all bad ones.

import { button, make } from "../shared/elements.js";

const WORDS = "Mark each segment whose outline does not match the object well. Some are known to be bad: three of four must be found.";

export class Verification {
  help = "Arrow keys go from segment to segment, Space or Enter marks one as bad or takes it back, N hands the job in.";

  constructor(view) {
    this.view = view;
    this.element = make("div", "an-verification");
    this.grid = make("div", "an-tiles", undefined, { role: "group", "aria-label": "Segments" });
    this.submit = button("", () => this.hand(), "an-primary");
    this.submit.title = "Key N";
    this.note = make("div", "an-task", "", { role: "status" });
    const line = make("div", "wb-line");
    line.append(this.submit);
    this.element.append(make("div", "", WORDS), line, this.note, this.grid);
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.bad = new Set();
    this.tiles = [];
  }

  close() {
    this.forget();
  }

  forget() {
    for (const one of this.tiles) URL.revokeObjectURL(one.querySelector("img").src);
  }

  take({ items, segments, own, planted }, buffers) {
    this.forget();
    this.bad.clear();
    this.tiles = items.map(({ category }, i) => {
      const src = URL.createObjectURL(new Blob([buffers[i]], { type: "image/jpeg" }));
      const element = make("button", "an-tile an-segment", undefined, { type: "button", title: category, "aria-pressed": "false" });
      element.append(make("img", "", undefined, { src, alt: category, draggable: "false" }), make("span", "an-icon-name", category), make("span", "an-stamp", "bad"));
      element.addEventListener("click", () => this.toggle(i));
      return element;
    });
    this.grid.replaceChildren(...this.tiles);
    this.planted = planted;
    const none = segments === 0 ? "There are no segments yet; they are drawn in the stage segmentation."
      : segments === own ? "All segments are your own, and nobody judges their own: another worker's name is at the top right."
        : "You have judged all segments that need it.";
    if (!items.length) this.note.textContent = [this.said, none].filter(Boolean).join(" ");
    else this.note.textContent = this.said ?? "";
    this.said = undefined;
    this.showState();
  }

  showState() {
    this.submit.disabled = this.tiles.length === 0;
    this.submit.textContent = `Hand in: ${this.bad.size} of ${this.tiles.length} are bad`;
  }

  toggle(i) {
    if (!this.bad.delete(i)) this.bad.add(i);
    this.tiles[i].setAttribute("aria-pressed", String(this.bad.has(i)));
    this.tiles[i].classList.toggle("an-away", this.bad.has(i));
    this.showState();
  }

  async hand() {
    if (!this.tiles.length) return;
    const answer = this.view.ask({ kind: "judge", bad: [...this.bad] });
    this.submit.disabled = true;
    const { ok, result } = await answer;
    this.submit.disabled = this.tiles.length === 0;
    if (!ok) return;
    const found = `You found ${result.found} of the ${result.planted} known bad segments`;
    const text = result.passed ? `${found}: ${result.judged} judged, ${result.kept} kept for good, ${result.rejected} back into the pool.`
      : `${found}, which is too few. Look again at all of them, and hand in once more.`;
    this.note.textContent = `${text} ${this.tiles.length ? "" : this.note.textContent}`;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey) return;
    const at = this.tiles.indexOf(document.activeElement);
    const tops = this.tiles.map(({ offsetTop }) => offsetTop);
    const columns = Math.max(1, tops.filter((top) => top === tops[0]).length);
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (step !== undefined && at >= 0) this.tiles[Math.max(0, Math.min(this.tiles.length - 1, at + step))].focus();
    else if (event.key === "n") this.hand();
    else if (!this.view.key(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }
}
