// Collecting: a grid of candidates; iconic ones, with a single large object in the middle, are clicked away.

import { button, make } from "../shared/elements.js";

const WORDS = "Click away what is iconic (one large object in the middle, as in a catalogue), a drawing, or no photograph at all. "
  + "What shows several objects in their surroundings stays.";

export class Collecting {
  help = "Arrow keys go from picture to picture, Space or Enter clicks one away or takes it back, N goes to the next page.";

  constructor(view) {
    this.view = view;
    this.element = make("div", "an-collecting");
    this.place = make("span", "an-number");
    this.back = button("‹ Page before", () => view.set({ page: view.state.page - 1 }));
    this.next = button("", () => this.stay(), "an-primary");
    this.next.title = "Key N";
    this.grid = make("div", "an-tiles", undefined, { role: "group", "aria-label": "Candidates" });
    const line = make("div", "wb-line");
    line.append(this.back, this.place, this.next);
    this.element.append(make("div", "", WORDS), line, this.grid);
    this.element.addEventListener("keydown", (event) => this.key(event));
  }

  close() {
    this.forget();
  }

  forget() {
    for (const one of this.tiles ?? []) URL.revokeObjectURL(one.querySelector("img")?.src ?? "");
  }

  take({ items, page }, buffers) {
    this.forget();
    this.items = items;
    this.tiles = items.map((item, i) => this.tile(item, buffers[i], i));
    this.grid.replaceChildren(...this.tiles);
    this.page = page;
    this.mark(items);
  }

  tile(item, bytes, i) {
    const element = make("button", "an-tile", undefined, { type: "button", title: item.name });
    if (item.error) element.append(make("span", "an-broken", item.error));
    else {
      const src = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
      element.append(make("img", "", undefined, { src, alt: item.name, draggable: "false" }));
    }
    element.append(make("span", "an-stamp", "iconic"));
    element.addEventListener("click", () => this.toggle(i));
    return element;
  }

  // What is decided of each; the pictures stay.
  mark(items) {
    if (items.length !== this.tiles?.length) return;
    this.items = items;
    items.forEach(({ name, iconic }, i) => {
      this.tiles[i].setAttribute("aria-pressed", String(iconic === true));
      this.tiles[i].setAttribute("aria-label", `${name}${iconic === true ? ", iconic" : iconic === false ? ", stays" : ""}`);
      this.tiles[i].classList.toggle("an-away", iconic === true);
      this.tiles[i].classList.toggle("an-stays", iconic === false);
    });
    this.showState();
  }

  showState() {
    const { page, pages } = this.view.state;
    this.back.disabled = page === 0;
    this.place.textContent = `page ${page + 1} of ${pages}`;
    this.next.textContent = page + 1 < pages ? "The others stay, next page ›" : "The others stay";
  }

  toggle(i) {
    const { name, iconic } = this.items[i];
    this.view.act("verdict", { image: name, iconic: iconic !== true });
  }

  async stay() {
    const { page, pages } = this.view.state;
    const { ok } = await this.view.act("verdicts", { images: this.items.map(({ name }) => name) });
    if (ok && page + 1 < pages) await this.view.set({ page: page + 1 });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey) return;
    const at = this.tiles?.indexOf(document.activeElement) ?? -1;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[event.key];
    if (step !== undefined && at >= 0) this.tiles[Math.max(0, Math.min(this.tiles.length - 1, at + step))].focus();
    else if (event.key === "n") this.stay();
    else if (!this.view.key(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  get columns() {
    const tops = this.tiles.map(({ offsetTop }) => offsetTop);
    return Math.max(1, tops.filter((top) => top === tops[0]).length);
  }
}
