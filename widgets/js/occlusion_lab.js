// Draws the image, boxes and the occluder, and asks Python for each new state.

import { OWN } from "python";
import { clamp, contains, smallestAt } from "./shared/boxes.js";
import { bitmap, fit } from "./shared/canvas.js";
import { make } from "./shared/elements.js";
import { NewestWins } from "./shared/newest.js";
import { saveMenu } from "./shared/save_view.js";
import { connect, moduleOf } from "./shared/view.js";
import { Foot, KEYS } from "./occlusion_lab/foot.js";
import { cursorOf, handleAt, moved, placed, resized } from "./occlusion_lab/occluder.js";
import { Mapping } from "./occlusion_lab/mapping.js";
import { paintScene } from "./occlusion_lab/painting.js";
import { Panel } from "./occlusion_lab/panel.js";
import { Explaining } from "./occlusion_lab/saliency.js";
import { Tools } from "./occlusion_lab/tools.js";

const LARGEST = 720; // CSS pixels, side of a panel
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class View {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.setup = this.result = this.grab = null;
    this.mapping = new Mapping(this);
    this.explaining = new Explaining(this);
    this.received = 0; // answers
    this.objects = []; // that can be chosen
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
      this.result = this.frame = null;
      this.mapping.forget();
      this.explaining.forget();
      this.build();
      this.clean = await bitmap(buffers[0]);
    } else if (!this.setup) {
      return;
    } else if (message.kind === "answer") {
      const order = ++this.received;
      const [frame, ...layers] = await Promise.all(buffers.map((one) => bitmap(one)));
      if (order === this.received) this.take(message, frame, layers);
      this.free(message.seq);
    } else if (message.kind === "notice") {
      this.foot.showNotice(message.text);
    } else if (message.kind === "map") {
      this.mapping.take(message, buffers);
    } else if (message.kind === "saliency") {
      await this.explaining.take(message, buffers);
    } else if (message.kind === "saliency-failed") {
      this.foot.showError(message.text);
      this.explaining.failed();
    } else if (message.kind === "saliency-areas") {
      this.explaining.takeAreas(message);
    } else if (message.kind === "error") {
      this.foot.showError(message.text);
      this.free(message.seq);
      if (!this.grab && !this.questions.waiting) this.goBack();
      this.mapping.failed();
      this.explaining.unlock();
    }
  }

  free(seq) {
    if (!this.questions.answered(seq)) return;
    this.roundTrips.push([performance.now() - this.asked, this.result?.milliseconds ?? 0]);
    this.foot.showTimes(this.roundTrips);
    this.el.setAttribute("aria-busy", "false");
    this.questions.next();
  }

  // Show what Python has, after a change that failed.
  goBack() {
    if (!this.result) return;
    this.box = [...this.result.box];
    this.tools.show(this.result, this.objects);
    this.paint();
  }

  // layers: pictures of what hides objects, of the detectors that find it.
  take({ result, objects, layers: names }, frame, layers) {
    const anew = JSON.stringify(this.result?.object) !== JSON.stringify(result.object);
    const redrawn = anew && this.result?.chosen === result.chosen; // a region was drawn anew
    if (redrawn) this.mapping.forget();
    this.result = result;
    this.objects = objects;
    this.frame = frame;
    this.layers = new Map(names.map((name, i) => [name, layers[i]]));
    this.tools.showHatching(this.layers.size > 0);
    if (!this.grab && !this.questions.waiting) this.box = [...result.box];
    this.tools.show(result, objects);
    for (const panel of this.panels) panel.show(result, this.thing, anew);
    this.foot.show(result);
    this.foot.showError("");
    this.foot.speak(Object.fromEntries(this.panels.map(({ name }) => [name, result.detectors[name].now])));
    this.mapping.follow();
    this.explaining.possible(this.thing);
    if (redrawn) this.explaining.renew();
    else this.explaining.follow();
    this.showMapTools();
    this.paint();
  }

  get thing() { // the chosen object
    return this.result?.object ?? null;
  }

  build() {
    this.tools = new Tools(this.setup, this);
    this.panels = this.setup.detectors.map((name) => this.listening(new Panel(name, KEYS)));
    this.tools.element.append(this.explaining.element);
    this.explaining.offer(this.setup.methods);
    this.panels.forEach((panel) => this.explaining.addLine(panel));
    this.foot = new Foot();
    const row = make("div", "ol-panels");
    row.append(...this.panels.map((panel) => panel.element));
    this.el.replaceChildren(this.tools.element, row, this.foot.element, saveMenu(this.model));
    this.layout();
  }

  listening(panel) {
    const { canvas } = panel;
    canvas.addEventListener("pointerdown", (event) => this.down(event, panel));
    canvas.addEventListener("pointermove", (event) => this.move(event, panel));
    canvas.addEventListener("pointerup", (event) => this.up(event, panel));
    canvas.addEventListener("pointercancel", () => { this.grab = this.drawn = null; });
    canvas.addEventListener("pointerleave", () => { panel.mapText.textContent = ""; });
    canvas.addEventListener("keydown", (event) => this.key(event));
    return panel;
  }

  // ---- response map --------------------------------------------------------------------------------------------

  showMapTools() {
    this.tools.showMap({ computing: this.mapping.computing, drawn: this.mapping.fits, possible: Boolean(this.thing) });
    for (const panel of this.panels) {
      const drawn = this.mapping.fits && this.mapping.maps.has(panel.name);
      panel.showMapScale(drawn, this.thing, drawn ? this.mapping.maps.before.get(panel.name) : 0);
    }
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
      if (this.frame) for (const panel of this.panels) paintScene(panel, this, this.tools);
    });
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
    return smallestAt(this.objects.map((thing) => thing.box), point);
  }

  // What a click on a panel chooses: an object, or else a detection that is drawn there and is none yet.
  pickedAt(point, { name }) {
    const object = this.objectAt(point);
    if (object !== null) return object === this.result.chosen ? null : { chosen: object };
    const { boxes, names, scores } = this.result.detectors[name];
    const drawn = [...boxes.keys()].filter((i) => scores[i] >= this.result.min_score);
    const hit = smallestAt(drawn.map((i) => boxes[i]), point);
    return hit === null ? null : { region: { box: boxes[drawn[hit]], name: names[drawn[hit]], source: name } };
  }

  down(event, panel) {
    if (!this.result || event.button !== 0) return;
    const point = this.at(event);
    const handle = this.handleAt(point);
    const drags = !this.tools.drawing && (handle >= 0 || contains(this.box, point));
    panel.canvas.focus({ preventScroll: true });
    event.preventDefault();
    event.stopPropagation();
    this.grab = { point, handle, box: [...this.box], drags, moved: false, draws: this.tools.drawing };
    panel.canvas.setPointerCapture(event.pointerId);
  }

  move(event, panel) {
    if (!this.result) return;
    const point = this.at(event);
    const value = this.mapping.fits ? this.mapping.maps.at(panel.name, point) : NaN;
    panel.mapText.textContent = Number.isNaN(value) ? "" : value.toFixed(2);
    if (!this.grab) {
      panel.canvas.style.cursor = this.cursorAt(point, panel);
      return;
    }
    const { point: start, box, handle, drags } = this.grab;
    const shift = [point[0] - start[0], point[1] - start[1]];
    if (Math.hypot(...shift) * this.scale > 3) this.grab.moved = true;
    if (this.grab.draws) this.drawn = this.between(start, point);
    if (this.grab.draws) this.paint();
    if (drags && this.grab.moved) this.place(handle < 0 ? moved(box, shift) : resized(box, handle, shift, this.setup));
  }

  // The box of whole pixels between two points, within the image.
  between([x1, y1], [x2, y2]) {
    const { width, height } = this.setup;
    const [left, right] = [Math.min(x1, x2), Math.max(x1, x2)].map((x) => Math.round(clamp(x, 0, width)));
    const [top, bottom] = [Math.min(y1, y2), Math.max(y1, y2)].map((y) => Math.round(clamp(y, 0, height)));
    return [left, top, right, bottom];
  }

  nameRegion() {
    if (this.thing?.source === OWN) this.ask({ region: { box: this.thing.box, name: this.tools.className.value || null } });
  }

  cursorAt(point, panel) {
    if (this.tools.drawing) return "crosshair";
    const handle = this.handleAt(point);
    if (handle >= 0) return cursorOf(handle);
    if (contains(this.box, point)) return "move";
    return this.pickedAt(point, panel) || this.objectAt(point) !== null ? "pointer" : "default";
  }

  up(event, panel) {
    if (!this.grab) return;
    const { drawn, grab } = this;
    const picked = grab.moved ? null : this.pickedAt(this.at(event), panel);
    this.grab = this.drawn = null;
    if (grab.draws) {
      this.tools.setDrawing(false);
      const large = grab.moved && Math.min(drawn[2] - drawn[0], drawn[3] - drawn[1]) >= this.setup.smallest;
      if (large) this.ask({ region: { box: drawn, name: null } });
      this.paint();
      if (grab.moved) return;
    }
    if (picked) this.ask(picked);
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
    const action = { t: () => this.nextTexture(1), T: () => this.nextTexture(-1), o: () => this.nextObject(), m: () => this.mapping.toggle() }[event.key];
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
    const count = this.objects.length;
    if (count) this.ask({ chosen: ((this.result.chosen ?? -1) + 1) % count });
  }
}

export default moduleOf(View);
