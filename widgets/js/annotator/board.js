// The picture that is worked on: drawn with zoom and pan, with a cursor for the keyboard and a magnifying glass.
// What is drawn over it, and what clicks and keys mean, its tool decides.

import { fit } from "../shared/canvas.js";
import { make } from "../shared/elements.js";
import { Viewport } from "./viewport.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const GLASS = 64; // CSS pixels, radius
const STEADY = 4; // CSS pixels that a click may move

export class Board {
  // view: its `tool`, and `key` for keys that the tool does not take.
  constructor(view) {
    this.view = view;
    this.viewport = new Viewport();
    this.size = [1, 1]; // of the picture, in pixels
    this.bitmap = null;
    this.cursor = null; // of the keyboard
    this.pointer = null; // of the mouse
    this.glass = false;
    this.waits = []; // milliseconds from a move of the mouse, while something is dragged, to the picture of it
    this.canvas = make("canvas", "an-canvas", undefined, { tabindex: 0, role: "application", "aria-label": "Picture" });
    this.element = make("div", "an-board");
    this.element.append(this.canvas);
    this.listen();
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(this.element);
  }

  close() {
    this.observer.disconnect();
    this.glass = false;
  }

  // Whether there is a picture, and what is known of it.
  get ready() {
    return this.bitmap !== null && this.view.picture !== null;
  }

  // ---- drawing -------------------------------------------------------------------------------------------------

  layout() {
    const width = this.element.clientWidth;
    if (!width) return;
    const tallest = Math.min(Math.max(0.56 * window.innerHeight, 300), 680);
    const height = Math.round(Math.min(tallest, Math.max(260, (width * this.size[1]) / this.size[0])));
    this.viewport.resize(fit(this.canvas, width, height));
    this.paint();
  }

  show(bitmap, size) {
    this.bitmap = bitmap;
    this.size = size;
    this.viewport.picture = size;
    this.viewport.fit();
    this.cursor = null;
    this.layout();
    this.paint();
  }

  paint() {
    const asked = performance.now();
    this.painting ??= requestAnimationFrame(() => {
      this.painting = null;
      this.paintNow();
      if (this.grab) this.waits = [...this.waits.slice(-199), performance.now() - asked];
    });
  }

  paintNow() {
    const context = this.canvas.getContext("2d");
    const { room } = this.viewport;
    const density = this.canvas.width / room[0];
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, ...room);
    if (!this.ready) return;
    this.paintPicture(context, this.viewport);
    this.view.tool?.paint(context, this.viewport, this.size);
    if (this.glass && (this.pointer ?? this.cursor)) this.paintGlass(context);
    if (this.cursor) this.paintCursor(context);
  }

  paintPicture(context, viewport) {
    const [x, y] = viewport.toCanvas([0, 0]);
    context.imageSmoothingEnabled = viewport.scale < 2;
    context.drawImage(this.bitmap, x, y, this.size[0] * viewport.scale, this.size[1] * viewport.scale);
  }

  // What is below the pointer, twice as large.
  paintGlass(context) {
    const place = this.pointer ?? this.viewport.toCanvas(this.cursor);
    const close = Object.assign(new Viewport(), { picture: this.size, room: this.viewport.room, scale: 2 * this.viewport.scale });
    const middle = this.viewport.toPicture(place);
    close.corner = middle.map((value, i) => value - place[i] / close.scale);
    context.save();
    context.beginPath();
    context.arc(...place, GLASS, 0, 7);
    context.fillStyle = "#808080";
    context.fill();
    context.clip();
    this.paintPicture(context, close);
    this.view.tool?.paint(context, close, this.size);
    context.restore();
    for (const [colour, width] of [["#000", 4], ["#fff", 2]]) {
      context.beginPath();
      context.arc(...place, GLASS, 0, 7);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }
  }

  paintCursor(context) {
    const [x, y] = this.viewport.toCanvas(this.cursor);
    for (const [colour, width] of [["#000", 4], ["#fff", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      for (const [dx, dy] of Object.values(ARROWS)) {
        context.moveTo(x + 4 * dx, y + 4 * dy);
        context.lineTo(x + 14 * dx, y + 14 * dy);
      }
      context.stroke();
    }
  }

  setGlass(on) {
    this.glass = on;
    this.paint();
  }

  // ---- mouse and touch -----------------------------------------------------------------------------------------

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", () => this.let());
    canvas.addEventListener("pointerleave", () => { this.pointer = null; this.paint(); });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("keyup", (event) => this.view.tool?.keyUp?.(event));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  place(event) { // in CSS pixels of the canvas
    const edge = this.canvas.getBoundingClientRect();
    return [event.clientX - edge.left, event.clientY - edge.top];
  }

  down(event) {
    if (!this.ready) return;
    this.canvas.focus({ preventScroll: true });
    event.preventDefault();
    event.stopPropagation();
    this.cursor = null;
    const place = this.place(event);
    const pans = event.button === 1 || (event.button === 0 && event.shiftKey);
    const point = this.viewport.toPicture(place);
    const taken = !pans && this.view.tool?.down(point, event) === true;
    this.grab = { place, last: place, taken, moved: false, button: event.button, pans };
    this.canvas.setPointerCapture(event.pointerId);
  }

  move(event) {
    const place = this.place(event);
    this.pointer = place;
    if (!this.ready) return;
    const point = this.viewport.toPicture(place);
    if (!this.grab) {
      this.canvas.style.cursor = this.view.tool?.cursorAt?.(point) ?? "crosshair";
      this.view.tool?.hover?.(point);
      if (this.glass) this.paint();
      return;
    }
    if (Math.hypot(place[0] - this.grab.place[0], place[1] - this.grab.place[1]) > STEADY) this.grab.moved = true;
    if (this.grab.taken) this.view.tool.drag(this.viewport.inside(point), event);
    else if (this.grab.moved) this.viewport.pan([place[0] - this.grab.last[0], place[1] - this.grab.last[1]]);
    this.grab.last = place;
    this.paint();
  }

  up(event) {
    if (!this.grab || !this.ready) return;
    const { grab } = this;
    const point = this.viewport.toPicture(this.place(event));
    this.grab = null;
    if (grab.taken) this.view.tool.drop(this.viewport.inside(point), grab.moved, point);
    else if (!grab.moved && !grab.pans && this.holds(point)) this.view.tool?.click(point, event);
    this.paint();
  }

  let() {
    if (this.grab?.taken) this.view.tool.drop(null, false, null);
    this.grab = null;
    this.paint();
  }

  holds([x, y]) {
    return x >= 0 && y >= 0 && x <= this.size[0] && y <= this.size[1];
  }

  wheel(event) {
    if (!this.ready || (document.activeElement !== this.canvas && !event.ctrlKey)) return; // the page scrolls
    event.preventDefault();
    event.stopPropagation();
    this.viewport.zoom(1.0015 ** -event.deltaY, this.place(event));
    this.paint();
  }

  // ---- keyboard ------------------------------------------------------------------------------------------------

  zoom(factor) {
    const middle = this.viewport.room.map((side) => side / 2);
    this.viewport.zoom(factor, this.cursor ? this.viewport.toCanvas(this.cursor) : this.pointer ?? middle);
    this.paint();
  }

  whole() {
    this.viewport.fit();
    this.paint();
  }

  // Where keys act: the cursor, which is shown from then on.
  here() {
    if (!this.cursor) {
      const middle = this.viewport.room.map((side) => side / 2);
      this.cursor = this.viewport.inside(this.viewport.toPicture(this.pointer ?? middle));
      this.paint();
    }
    return this.cursor;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || !this.ready) return;
    if (!this.take(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  take(event) {
    const arrow = ARROWS[event.key];
    if (arrow) {
      const step = (event.altKey ? 1 : event.shiftKey ? 40 : 8) / (event.altKey ? 1 : this.viewport.scale);
      const [x, y] = this.here();
      this.pointer = null;
      this.cursor = this.viewport.inside([x + step * arrow[0], y + step * arrow[1]]);
      this.viewport.reveal(this.cursor);
      this.view.tool?.keyMoved?.(this.cursor);
      this.paint();
      return true;
    }
    const own = {
      "+": () => this.zoom(1.5), "=": () => this.zoom(1.5), "-": () => this.zoom(1 / 1.5), 0: () => this.whole(),
      g: () => this.view.toggleGlass(),
    }[event.key];
    if (own) {
      own();
      return true;
    }
    return this.view.tool?.key(event, () => this.here()) === true || this.view.key(event);
  }
}
