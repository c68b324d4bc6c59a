// Draws the image, boxes and the occluder, and asks Python for each new state.

import { BRIGHT, CHOSEN } from "python";
import { clamp, contains, smallestAt } from "./shared/boxes.js";
import { HALO, bitmap, fit, paintPicture, strokeBox } from "./shared/canvas.js";
import { make } from "./shared/elements.js";
import { NewestWins } from "./shared/newest.js";
import { paintTags } from "./shared/tags.js";
import { connect, moduleOf } from "./shared/view.js";
import { Foot, KEYS } from "./occlusion_lab/foot.js";
import { cursorOf, handleAt, moved, paintOccluder, placed, resized } from "./occlusion_lab/occluder.js";
import { Panel } from "./occlusion_lab/panel.js";
import { ResponseMaps } from "./occlusion_lab/response_map.js";
import { Tools } from "./occlusion_lab/tools.js";

const LARGEST = 720; // CSS pixels, side of a panel
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class View {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.setup = this.result = this.grab = this.maps = null;
    this.computing = false; // a response map
    this.received = 0; // answers
    this.colours = new Map(); // of classes
    this.roundTrips = el.roundTrips = []; // milliseconds: [from question to answer, in the detectors]
    this.questions = new NewestWins((seq, state) => {
      el.setAttribute("aria-busy", "true");
      this.asked = performance.now();
      model.send({ kind: "change", seq, state });
    });
    this.disconnect = connect(model, el, "occlusion-lab", (message, buffers) => this.receive(message, buffers));
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(el);
    this.watch = setInterval(() => {
      if (this.questions.inFlight !== null) this.foot.showWaiting(performance.now() - this.asked);
    }, 500);
    model.send({ kind: "hello" });
  }

  close() {
    this.disconnect();
    this.observer.disconnect();
    clearInterval(this.watch);
    this.foot?.hush();
  }

  // ---- messages ------------------------------------------------------------------------------------------------

  ask(change) {
    this.questions.ask(change);
  }

  async receive(message, buffers) {
    if (message.kind === "setup") {
      this.setup = message;
      this.maps = this.result = this.frame = null;
      this.build();
      this.clean = await bitmap(buffers[0]);
    } else if (!this.setup) {
      return;
    } else if (message.kind === "answer") {
      const order = ++this.received;
      const frame = await bitmap(buffers[0]);
      if (order === this.received) this.take(message.result, frame);
      this.free(message.seq);
    } else if (message.kind === "map") {
      this.takeMap(message, buffers);
    } else if (message.kind === "error") {
      this.computing = false;
      this.foot.showError(message.text);
      this.free(message.seq);
      this.showMapTools();
    }
  }

  free(seq) {
    if (!this.questions.answered(seq)) return;
    this.roundTrips.push([performance.now() - this.asked, this.result?.milliseconds ?? 0]);
    this.foot.showTimes(this.roundTrips);
    this.el.setAttribute("aria-busy", "false");
    this.questions.next();
  }

  take(result, frame) {
    const anew = !this.result || this.result.chosen !== result.chosen;
    this.result = result;
    this.frame = frame;
    if (!this.grab && !this.questions.waiting) this.box = [...result.box];
    this.tools.show(result);
    for (const panel of this.panels) panel.show(result, this.thing, anew);
    this.foot.show(result);
    this.foot.showError("");
    this.foot.speak(Object.fromEntries(this.panels.map(({ name }) => [name, result.detectors[name].now])));
    if (this.computing && this.mapKey !== this.kind) this.stopMap(); // it would not belong to this occluder
    this.showMapTools();
    this.paint();
  }

  get thing() { // the chosen object
    return this.result?.object ?? null;
  }

  build() {
    this.tools = new Tools(this.setup, this);
    this.panels = this.setup.detectors.map((name) => this.listening(new Panel(name, KEYS)));
    this.foot = new Foot();
    const row = make("div", "ol-panels");
    row.append(...this.panels.map((panel) => panel.element));
    this.el.replaceChildren(this.tools.element, row, this.foot.element);
    this.layout();
  }

  listening(panel) {
    const { canvas } = panel;
    canvas.addEventListener("pointerdown", (event) => this.down(event, panel));
    canvas.addEventListener("pointermove", (event) => this.move(event, panel));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", () => { this.grab = null; });
    canvas.addEventListener("pointerleave", () => { panel.mapText.textContent = ""; });
    canvas.addEventListener("keydown", (event) => this.key(event));
    return panel;
  }

  // ---- response map --------------------------------------------------------------------------------------------

  get kind() { // a map belongs to one object and one kind of occluder
    const [x1, y1, x2, y2] = this.result.box;
    return JSON.stringify([this.result.chosen, y2 - y1, x2 - x1, this.result.texture, this.result.outline]);
  }

  get mapFits() {
    return Boolean(this.maps && this.result) && this.kind === this.maps.key;
  }

  takeMap(message, buffers) {
    const late = !this.computing && this.stopped === JSON.stringify(message.key); // on its way when it was stopped
    if (message.done < 1 && late) return;
    this.maps = new ResponseMaps(message, buffers);
    this.computing = message.done < 1;
    this.tools.progress.value = message.done;
    this.showMapTools();
    this.paint();
  }

  toggleMap() {
    if (this.computing || this.mapFits) {
      this.dropMap();
      return;
    }
    this.computing = true;
    this.tools.progress.value = 0;
    this.mapKey = this.kind;
    this.model.send({ kind: "map", grid: this.tools.grid.value });
    this.showMapTools();
  }

  stopMap() {
    this.stopped = this.mapKey;
    this.computing = false;
    this.model.send({ kind: "stop-map" });
    this.dropMap();
  }

  dropMap() {
    if (this.computing) {
      this.stopMap();
      return;
    }
    this.maps = null;
    this.showMapTools();
    this.paint();
  }

  showMapTools() {
    this.tools.showMap({ computing: this.computing, drawn: this.mapFits, possible: Boolean(this.thing) });
    for (const panel of this.panels) panel.showMapScale(this.mapFits && this.maps.has(panel.name), this.thing);
  }

  // ---- drawing -------------------------------------------------------------------------------------------------

  layout() {
    if (!this.setup || !this.el.clientWidth) return;
    const { width, height, detectors } = this.setup;
    const room = (this.el.clientWidth - 24 - 20 * (detectors.length - 1)) / detectors.length;
    const tallest = clamp(0.52 * window.innerHeight, 300, LARGEST); // the tools and the numbers stay in sight
    const scale = Math.min(clamp(room, 200, LARGEST) / width, tallest / height);
    this.scale = scale >= 2 ? Math.floor(2 * scale) / 2 : scale; // (nearly) whole multiples keep small pixels crisp
    for (const panel of this.panels) {
      panel.size = fit(panel.canvas, width * this.scale, height * this.scale);
      panel.element.style.width = `${Math.max(200, panel.size[0])}px`;
    }
    this.paint();
  }

  paint() {
    this.painting ??= requestAnimationFrame(() => {
      this.painting = null;
      if (this.frame) for (const panel of this.panels) this.paintPanel(panel);
    });
  }

  paintPanel({ name, canvas, size }) {
    const { scale } = this;
    const mapped = this.mapFits && this.maps.has(name);
    const context = paintPicture(canvas, mapped ? this.clean : this.frame, size, scale);
    if (mapped) this.maps.paint(context, name, scale);
    if (this.tools.truth.checked) for (const thing of this.setup.objects) strokeBox(context, thing.box, scale, "#ffffffcc", 1, [3, 3]);
    const found = this.result.detectors[name];
    const shown = [...found.scores.keys()].filter((i) => found.scores[i] >= this.result.min_score);
    for (const i of shown) {
      strokeBox(context, found.boxes[i], scale, HALO, 4);
      strokeBox(context, found.boxes[i], scale, this.colour(found.names[i]), 2);
    }
    if (this.thing) {
      const around = this.thing.box.map((value, i) => value + (i < 2 ? -3 : 3) / scale); // clear of the detection
      strokeBox(context, around, scale, "#000000b0", 4.5);
      strokeBox(context, around, scale, CHOSEN, 2.5, [7, 4]);
    }
    paintTags(context, shown.map((i) => ({
      box: found.boxes[i].map((value) => value * scale), colour: this.colour(found.names[i]),
      text: `${found.names[i]} ${found.scores[i].toFixed(2)}`,
    })), ...size);
    paintOccluder(context, this.box, this.result.outline, scale, this.setup);
  }

  colour(name) {
    if (!this.colours.has(name)) this.colours.set(name, BRIGHT[this.colours.size % BRIGHT.length]);
    return this.colours.get(name);
  }

  // ---- mouse and touch -----------------------------------------------------------------------------------------

  at(event) {
    const edge = event.currentTarget.getBoundingClientRect();
    return [(event.clientX - edge.left) / this.scale, (event.clientY - edge.top) / this.scale];
  }

  handleAt(point) {
    return handleAt(point, this.box, this.scale, this.setup);
  }

  objectAt(point) {
    return smallestAt(this.setup.objects.map((thing) => thing.box), point);
  }

  down(event, panel) {
    if (!this.result || event.button !== 0) return;
    const point = this.at(event);
    const handle = this.handleAt(point);
    const drags = handle >= 0 || contains(this.box, point);
    panel.canvas.focus({ preventScroll: true });
    event.preventDefault();
    event.stopPropagation();
    this.grab = { point, handle, box: [...this.box], drags, moved: false };
    panel.canvas.setPointerCapture(event.pointerId);
  }

  move(event, panel) {
    if (!this.result) return;
    const point = this.at(event);
    const value = this.mapFits ? this.maps.at(panel.name, point) : NaN;
    panel.mapText.textContent = Number.isNaN(value) ? "" : value.toFixed(2);
    if (!this.grab) {
      panel.canvas.style.cursor = this.cursorAt(point);
      return;
    }
    const { point: start, box, handle, drags } = this.grab;
    const shift = [point[0] - start[0], point[1] - start[1]];
    if (Math.hypot(...shift) * this.scale > 3) this.grab.moved = true;
    if (drags && this.grab.moved) this.place(handle < 0 ? moved(box, shift) : resized(box, handle, shift, this.setup));
  }

  cursorAt(point) {
    const handle = this.handleAt(point);
    if (handle >= 0) return cursorOf(handle);
    if (contains(this.box, point)) return "move";
    return this.objectAt(point) === null ? "default" : "pointer";
  }

  up(event) {
    if (!this.grab) return;
    const object = this.grab.moved ? null : this.objectAt(this.at(event));
    this.grab = null;
    if (object !== null && object !== this.result.chosen) this.ask({ chosen: object });
  }

  place(box) {
    const next = placed(box, this.setup);
    if (next.join() === this.box.join()) return;
    this.box = next;
    this.paint();
    this.ask({ box: next });
  }

  // ---- keyboard ------------------------------------------------------------------------------------------------

  key(event) {
    if (!this.result || event.ctrlKey || event.metaKey) return;
    const arrow = ARROWS[event.key];
    const action = { t: () => this.nextTexture(1), T: () => this.nextTexture(-1), o: () => this.nextObject(), m: () => this.toggleMap() }[event.key];
    if (!arrow && !action) return;
    event.preventDefault();
    event.stopPropagation();
    if (action) return void action();
    const { width, height, smallest } = this.setup;
    const step = event.altKey ? 1 : Math.max(1, Math.round(Math.max(width, height) / 64));
    const shift = arrow.map((sign) => sign * step);
    const [x1, y1, x2, y2] = this.box;
    if (event.shiftKey) this.place([x1, y1, clamp(x2 + shift[0], x1 + smallest, width), clamp(y2 + shift[1], y1 + smallest, height)]);
    else this.place(moved(this.box, shift));
  }

  nextTexture(step) {
    const { textures } = this.setup;
    const index = textures.indexOf(this.tools.texture.value) + step + textures.length;
    this.tools.texture.value = textures[index % textures.length];
    this.ask({ texture: this.tools.texture.value });
  }

  nextObject() {
    const count = this.setup.objects.length;
    if (count) this.ask({ chosen: ((this.result.chosen ?? -1) + 1) % count });
  }
}

export default moduleOf(View);
