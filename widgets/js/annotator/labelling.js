// Category labelling: super-category by super-category, an icon is dragged onto one instance of each category.

import { button, make } from "../shared/elements.js";
import { colourOf, paintIcon } from "./marks.js";
import { Tool, disc } from "./tool.js";

const RADIUS = 16; // CSS pixels around an icon

export class Labelling extends Tool {
  help = "Drag an icon onto one instance of its category, or choose it by Enter, move the cursor by the arrow keys and press "
    + "Space. Delete takes the icon at the cursor away. One instance of each category is enough. N goes to the next group.";

  constructor(view) {
    super(view);
    this.group = null; // the super-category that is looked through
    this.carried = null; // { category, point } of an icon on its way
    this.title = make("strong", "an-group");
    this.icons = make("div", "an-icons", undefined, { role: "group", "aria-label": "Categories" });
    this.back = button("‹ Back", () => this.step(-1));
    this.next = button("", () => this.looked(), "an-primary");
    this.placed = make("div", "an-placed wb-note");
    const line = make("div", "wb-line");
    line.append(this.back, this.next);
    this.element.append(this.title, this.icons, line, this.placed);
  }

  get groups() { // [[super-category, [categories]]], in their order
    const groups = new Map();
    for (const [name, group] of this.state.groups) groups.set(group, [...(groups.get(group) ?? []), name]);
    return [...groups];
  }

  show(anew) {
    const groups = this.groups.map(([group]) => group);
    if (anew || !groups.includes(this.group)) this.group = groups.find((group) => !this.picture.looked.includes(group)) ?? groups[0];
    this.fill();
  }

  fill() {
    const groups = this.groups;
    const place = groups.findIndex(([group]) => group === this.group);
    const names = groups[place]?.[1] ?? [];
    const mine = this.mine.map(({ category }) => category);
    this.title.textContent = `${this.group || "Categories"} (${place + 1} of ${groups.length}): is there any of these?`;
    this.icons.replaceChildren(...names.map((name) => this.icon(name, mine.includes(name))));
    this.back.disabled = place <= 0;
    const some = names.some((name) => mine.includes(name));
    const last = place === groups.length - 1;
    this.next.textContent = `${some ? "That is all" : "None of these"}${last ? ", next picture" : " ›"}`;
    this.next.title = "Key N";
    this.placed.textContent = mine.length ? `Placed: ${mine.join(", ")}` : "No icon placed yet.";
  }

  get mine() {
    return this.picture.labels.filter(({ mine }) => mine);
  }

  icon(name, placed) {
    const element = make("button", "an-icon", undefined, { type: "button", "aria-pressed": String(placed), title: name });
    element.append(disc(this.names, name), make("span", "an-icon-name", name));
    element.addEventListener("pointerdown", (event) => this.pick(event, name, element));
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      this.carry(name);
    });
    return element;
  }

  // The icon goes with the keyboard's cursor, or with the next click.
  carry(name) {
    this.board.canvas.focus({ preventScroll: true });
    this.carried = { category: name, point: this.board.here() };
    this.view.say(`${name}: move by the arrow keys, Space puts it down`);
    this.board.paint();
  }

  // Drag an icon over the page, until it is let go.
  pick(event, name, element) {
    if (event.button !== 0) return;
    event.preventDefault();
    const ghost = disc(this.names, name);
    ghost.classList.add("an-ghost");
    let moved = false;
    const move = ({ clientX, clientY }) => {
      moved ||= Math.hypot(clientX - event.clientX, clientY - event.clientY) > 4;
      if (moved && !ghost.isConnected) this.view.el.append(ghost);
      ghost.style.left = `${clientX}px`;
      ghost.style.top = `${clientY}px`;
    };
    const end = (last) => {
      ghost.remove();
      element.removeEventListener("pointermove", move);
      if (last.type === "pointercancel") return;
      if (!moved) {
        this.carry(name);
        return;
      }
      const point = this.board.viewport.toPicture(this.board.place(last));
      if (this.board.holds(point)) this.put(name, point);
    };
    element.setPointerCapture(event.pointerId);
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", end, { once: true });
    element.addEventListener("pointercancel", end, { once: true });
  }

  put(category, point) {
    this.carried = null;
    this.act("label", { category, point });
  }

  async step(by) {
    const groups = this.groups.map(([group]) => group);
    this.group = groups[Math.max(0, Math.min(groups.length - 1, groups.indexOf(this.group) + by))];
    this.fill();
  }

  async looked() {
    const groups = this.groups.map(([group]) => group);
    const last = this.group === groups.at(-1);
    const { ok } = await this.act("group", { supercategory: this.group });
    if (ok && last) await this.finish();
    else if (ok) this.step(1);
  }

  labelAt(point) {
    return this.mine.find(({ point: [x, y] }) => Math.hypot(x - point[0], y - point[1]) <= this.reach(RADIUS));
  }

  paint(context, viewport, size) {
    this.paintObjects(context, viewport, size);
    for (const { category, point, mine } of this.picture.labels) {
      if (this.carried?.category === category && mine) continue;
      paintIcon(context, viewport, point, category, colourOf(this.names, category), { faint: !mine });
    }
    if (this.carried) paintIcon(context, viewport, this.carried.point, this.carried.category, colourOf(this.names, this.carried.category), { radius: 17 });
  }

  cursorAt(point) {
    return this.labelAt(point) ? "grab" : this.carried ? "copy" : "default";
  }

  hover(point) {
    if (!this.carried) return;
    this.carried.point = point;
    this.board.paint();
  }

  down(point) {
    const label = this.carried ? null : this.labelAt(point);
    if (label) this.carried = { category: label.category, point: label.point };
    return Boolean(label);
  }

  drag(point) {
    if (this.carried) this.carried.point = point;
  }

  // point: within the picture; where: where it was let go, which may be beside it.
  drop(point, moved, where) {
    const { category } = this.carried;
    this.carried = null;
    if (!point || !moved) return;
    if (this.board.holds(where)) this.put(category, point);
    else this.act("unlabel", { category });
  }

  click(point) {
    if (this.carried) this.put(this.carried.category, point);
  }

  keyMoved(point) {
    if (this.carried) this.carried.point = point;
  }

  key(event, here) {
    if (event.key === " ") {
      if (this.carried) this.put(this.carried.category, here());
    } else if (event.key === "Escape" && this.carried) {
      this.carried = null;
    } else if (event.key === "Delete" || event.key === "Backspace") {
      const label = this.labelAt(here());
      if (label) this.act("unlabel", { category: label.category });
    } else if (event.key === "n") {
      this.looked();
    } else {
      return false;
    }
    this.board.paint();
    return true;
  }
}
