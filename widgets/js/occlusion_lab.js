// Draws the image, boxes and the occluder, and asks Python for each new state.
// At most one request is in flight; what changed meanwhile is merged, so the newest position wins.

const COLOURS = ["#4cc9f0", "#f72585", "#80ed99", "#ff9f1c", "#b388ff", "#f6f740", "#ff6b6b", "#2ec4b6", "#e0aaff", "#cddc39"];
const HEAT = [[128, 0, 38], [189, 0, 38], [227, 26, 28], [252, 78, 42], [253, 141, 60], [254, 178, 76], [254, 217, 118],
  [255, 237, 160], [255, 255, 204]]; // of score 0 to 1; YlOrRd of ColorBrewer
const CHOSEN = "#ffd400";
const HANDLES = [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 1], [0, 0.5]];
const CURSORS = ["nwse", "ns", "nesw", "ew", "nwse", "ns", "nesw", "ew"];
const OUT = 8; // CSS pixels from the occluder's edge to the middle of a handle, so that handles cover nothing
const REACH = 8; // CSS pixels around a handle that still grab it
const ROOMY = 44; // CSS pixels, side of an occluder that has room for handles between its corners
const HISTORY = 60; // answers in a sparkline
const LARGEST = 720; // CSS pixels, side of a panel
const HELP = "Arrow keys move the occluder, Shift + arrows resize it, Alt makes steps of one pixel, "
  + "T changes the texture, O chooses the next object, M draws the response map.";

function make(tag, className, text, attributes = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const percent = (share) => `${Math.round(100 * share)} %`;
const length = (share) => `${(100 * share).toFixed(1)}%`; // for style sheets
const contains = ([x1, y1, x2, y2], [x, y]) => x >= x1 && x <= x2 && y >= y1 && y <= y2;
const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

// Colour and opacity of a score: the lower, the darker and the less transparent, so that only what hurts is coloured.
function heat(score) {
  const place = clamp(score, 0, 1) * (HEAT.length - 1);
  const low = Math.min(HEAT.length - 2, Math.floor(place));
  const colour = HEAT[low].map((from, i) => Math.round(from + (place - low) * (HEAT[low + 1][i] - from)));
  return [...colour, Math.round(255 * Math.min(0.85, 1.4 * (1 - clamp(score, 0, 1))))];
}

// The score of a cell; where it is not yet known, that of the coarser cell around it, or else NaN.
function nearestKnown(values, rows, columns, row, column) {
  for (const step of [1, 2, 4]) {
    const [r, c] = [row, column].map((at) => at - (at % step) + (step >> 1));
    const value = r < rows && c < columns ? values[r * columns + c] : NaN;
    if (!Number.isNaN(value)) return value;
  }
  return NaN;
}

class View {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.setup = null;
    this.result = null;
    this.want = null; // changes that wait for the answer in flight
    this.inflight = null;
    this.seq = 0;
    this.grab = null;
    this.map = null;
    this.computing = false;
    this.roundTrips = el.roundTrips = []; // milliseconds: [from question to answer, in the detectors]
    el.classList.add("occlusion-lab");
    el.dataset.lmSuppressShortcuts = "true"; // JupyterLab's one-letter shortcuts stay out of our keys
    this.onMessage = (message, buffers) => this.receive(message, buffers);
    model.on("msg:custom", this.onMessage);
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(el);
    this.watch = setInterval(() => this.showWaiting(), 500);
    model.send({ kind: "hello" });
  }

  close() {
    this.model.off("msg:custom", this.onMessage);
    this.observer.disconnect();
    clearInterval(this.watch);
    clearTimeout(this.speaking);
  }

  // ---- messages ------------------------------------------------------------------------------------------------

  ask(change) {
    this.want = { ...this.want, ...change };
    this.pump();
  }

  pump() {
    if (this.inflight !== null || !this.want) return;
    this.inflight = ++this.seq;
    this.el.setAttribute("aria-busy", "true");
    this.asked = performance.now();
    this.model.send({ kind: "change", seq: this.inflight, state: this.want });
    this.want = null;
  }

  async receive(message, buffers) {
    if (message.kind === "setup") {
      this.setup = message;
      this.map = this.result = this.frame = null;
      this.build();
      this.clean = await createImageBitmap(new Blob([buffers[0]]));
    } else if (message.kind === "answer" && this.setup) {
      const order = (this.order = (this.order ?? 0) + 1);
      const frame = await createImageBitmap(new Blob([buffers[0]]));
      if (order === this.order) this.take(message.result, frame);
      this.free(message.seq);
    } else if (message.kind === "map" && this.setup) {
      this.takeMap(message, buffers);
    } else if (message.kind === "error") {
      this.computing = false;
      this.showError(message.text);
      this.free(message.seq);
      this.showMapTools();
    }
  }

  free(seq) {
    if (seq === null || seq !== this.inflight) return;
    this.roundTrips.push([performance.now() - this.asked, this.result?.milliseconds ?? 0]);
    this.inflight = null;
    const [whole, inside] = [0, 1].map((part) => Math.round(median(this.roundTrips.slice(-20).map((trip) => trip[part]))));
    this.time.textContent = `answer in ${whole} ms, of which detectors ${inside} ms`;
    this.el.setAttribute("aria-busy", "false");
    this.pump();
  }

  take(result, frame) {
    const changedObject = !this.result || this.result.chosen !== result.chosen;
    this.result = result;
    this.frame = frame;
    if (!this.grab && !this.want) this.box = [...result.box];
    this.errorLine.hidden = true;
    this.texture.value = result.texture;
    this.outline.value = result.outline;
    this.minScore.value = result.min_score;
    this.minScoreText.textContent = result.min_score.toFixed(2);
    this.objectSelect.value = result.chosen ?? "";
    for (const panel of this.panels) {
      if (changedObject) panel.history = [];
      const now = result.detectors[panel.name].now;
      if (now !== null) panel.history = [...panel.history, now].slice(-HISTORY);
      this.showReadout(panel);
    }
    this.showHidden();
    if (this.computing && this.mapKey !== this.kind) this.stopMap(); // it would not belong to this occluder
    this.showMapTools();
    this.paint();
    this.speak();
  }

  takeMap(message, buffers) {
    const values = buffers.map((view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)));
    const { key, rows, columns, stride, done } = message;
    if (done < 1 && !this.computing && this.stopped === JSON.stringify(key)) return; // on its way when it was stopped
    this.map = { key, rows, columns, stride, values: new Map(), pictures: new Map() };
    message.names.forEach((name, i) => {
      const picture = new OffscreenCanvas(columns, rows);
      const pixels = new ImageData(columns, rows);
      for (let k = 0; k < values[i].length; k += 1) {
        const value = nearestKnown(values[i], rows, columns, Math.floor(k / columns), k % columns);
        pixels.data.set(Number.isNaN(value) ? [0, 0, 0, 0] : heat(value), 4 * k);
      }
      picture.getContext("2d").putImageData(pixels, 0, 0);
      this.map.values.set(name, values[i]);
      this.map.pictures.set(name, picture);
    });
    this.computing = done < 1;
    this.progress.value = done;
    this.showMapTools();
    this.paint();
  }

  // ---- elements ------------------------------------------------------------------------------------------------

  build() {
    this.el.replaceChildren();
    this.el.append(this.buildTools(), this.buildPanels(), this.buildFoot());
    this.layout();
  }

  buildTools() {
    const { objects, textures, outlines, grids } = this.setup;
    const tools = make("div", "ol-tools", undefined, { role: "toolbar", "aria-label": "Occluder" });
    const choices = objects.map((thing, i) => [i, `${i + 1}: “${thing.name}”${thing.source === null ? "" : ` found by ${thing.source}`}`]);
    this.objectSelect = this.select(tools, "Object", choices.length ? choices : [["", "none"]],
      (value) => this.ask({ chosen: value === "" ? null : Number(value) }));
    this.texture = this.select(tools, "Texture", textures.map((name) => [name, name]), (value) => this.ask({ texture: value }));
    this.outline = this.select(tools, "Shape", outlines.map((name) => [name, name]), (value) => this.ask({ outline: value }));
    const score = make("label", "ol-field", "Draw detections from score ");
    this.minScore = make("input", "", undefined, { type: "range", min: 0.05, max: 0.95, step: 0.05 });
    this.minScoreText = make("output", "ol-number");
    this.minScore.addEventListener("input", () => this.ask({ min_score: Number(this.minScore.value) }));
    score.append(this.minScore, this.minScoreText);
    const truth = make("label", "ol-field");
    this.showTruth = make("input", "", undefined, { type: "checkbox" });
    this.showTruth.checked = true;
    this.showTruth.addEventListener("change", () => this.paint());
    truth.append(this.showTruth, " outline objects");
    truth.title = "Thin dashed boxes around the objects that can be chosen";
    tools.append(score, truth, this.buildMapTools(grids));
    return tools;
  }

  buildMapTools(grids) {
    const group = make("span", "ol-map-tools");
    this.mapButton = make("button", "ol-button ol-map-button", "Response map", { type: "button" });
    this.mapButton.title = "Score of the chosen object for the occluder at every position";
    this.mapButton.addEventListener("click", () => this.toggleMap());
    this.progress = make("progress", "", undefined, { max: 1, value: 0, "aria-label": "Response map" });
    this.progress.hidden = true;
    group.append(this.mapButton);
    this.grid = this.select(group, "", grids.map((name) => [name, `${name} grid`]), () => (this.computing ? this.stopMap() : this.hideMap()));
    this.grid.value = "medium";
    this.grid.setAttribute("aria-label", "Grid of the response map");
    group.append(this.progress);
    return group;
  }

  select(parent, text, choices, onChange) {
    const label = make("label", "ol-field", text ? `${text} ` : "");
    const select = make("select", "");
    for (const [value, name] of choices) select.append(make("option", "", name, { value }));
    select.addEventListener("change", () => onChange(select.value));
    label.append(select);
    parent.append(label);
    return select;
  }

  buildPanels() {
    const row = make("div", "ol-panels");
    this.panels = this.setup.detectors.map((name) => this.buildPanel(name));
    row.append(...this.panels.map((panel) => panel.element));
    return row;
  }

  buildPanel(name) {
    const element = make("figure", "ol-panel", undefined, { "data-detector": name });
    const caption = make("figcaption", "ol-caption");
    const badge = make("span", "ol-badge");
    const title = make("span", "ol-name", name, { title: name });
    caption.append(title, badge);
    const canvas = make("canvas", "ol-canvas", undefined, {
      tabindex: 0, role: "application", "aria-label": `The image as ${name} sees it. ${HELP}`,
    });
    const panel = { name, element, badge, canvas, history: [] };
    canvas.addEventListener("pointerdown", (event) => this.down(event, panel));
    canvas.addEventListener("pointermove", (event) => this.move(event, panel));
    canvas.addEventListener("pointerup", (event) => this.up(event, panel));
    canvas.addEventListener("pointercancel", () => { this.grab = null; });
    canvas.addEventListener("pointerleave", () => { panel.mapText.textContent = ""; });
    canvas.addEventListener("keydown", (event) => this.key(event));
    element.append(caption, canvas, this.buildColourBar(panel), this.buildReadout(panel));
    return panel;
  }

  buildColourBar(panel) {
    panel.colourBar = make("div", "ol-colour-bar");
    const strip = make("div", "ol-strip");
    strip.style.background = `linear-gradient(to right, ${[0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1].map((score) => {
      const [r, g, b, a] = heat(score);
      return `rgb(${r} ${g} ${b} / ${a / 255})`;
    }).join(", ")})`;
    const ticks = make("div", "ol-ticks");
    for (const text of ["0", "0.5", "1"]) ticks.append(make("span", "", text));
    panel.mapLabel = make("span", "");
    panel.mapText = make("span", "ol-number");
    const line = make("div", "ol-ticks");
    line.append(panel.mapLabel, panel.mapText);
    panel.colourBar.append(strip, ticks, line);
    panel.colourBar.hidden = true;
    return panel.colourBar;
  }

  buildReadout(panel) {
    const readout = make("div", "ol-readout");
    panel.scoreText = make("div", "ol-score");
    const track = make("div", "ol-track");
    panel.bar = make("div", "ol-bar");
    panel.tick = make("div", "ol-before");
    panel.tick.title = "without the occluder";
    track.append(panel.bar, panel.tick);
    panel.spark = svg("svg", { class: "ol-spark", viewBox: `0 0 ${HISTORY} 24`, preserveAspectRatio: "none", "aria-hidden": "true" });
    panel.sparkBefore = svg("line", { class: "ol-spark-before", x1: 0, x2: HISTORY });
    panel.sparkLine = svg("polyline", { class: "ol-spark-line", points: "" });
    panel.spark.append(panel.sparkBefore, panel.sparkLine);
    panel.what = make("div", "ol-what");
    panel.foundText = make("div", "ol-note ol-found-text");
    const history = make("div", "ol-note", `the same score at your last ${HISTORY} positions (0 to 1)`);
    readout.append(panel.what, panel.scoreText, track, panel.spark, history, panel.foundText);
    return readout;
  }

  buildFoot() {
    const foot = make("div", "ol-foot");
    this.hiddenText = make("span", "ol-hidden");
    this.hiddenBar = make("span", "ol-hidden-bar");
    const meter = make("span", "ol-hidden-meter");
    this.sceneBar = make("span", "ol-scene-bar");
    meter.append(this.sceneBar, this.hiddenBar);
    this.time = make("span", "ol-time");
    this.live = make("span", "ol-live", "", { "aria-live": "polite" });
    this.errorLine = make("div", "ol-error", "", { role: "alert" });
    this.errorLine.hidden = true;
    const help = make("div", "ol-note", "Drag the occluder or its white handles; click an object to choose it. " + HELP);
    help.append(make("div", "", "Two scores: the large one is what the detector gives to the chosen object's class at the object's own "
      + "box, which never moves. The tags in the picture are what it finds by itself, at boxes of its own, so they may differ."));
    const line = make("div", "ol-line");
    line.append(this.hiddenText, meter, this.time);
    foot.append(line, this.errorLine, help, this.live);
    return foot;
  }

  // ---- what the numbers say ------------------------------------------------------------------------------------

  get thing() {
    return this.result?.object ?? null;
  }

  showReadout(panel) {
    const { before, now, found } = this.result.detectors[panel.name];
    const seen = found !== null && found >= this.result.min_score;
    panel.badge.textContent = !this.thing ? "" : seen ? "found" : "missed";
    panel.badge.title = "Found: a detection of this class covers the object and reaches the score from which detections are drawn";
    panel.badge.className = `ol-badge ${seen ? "ol-found" : "ol-missed"}`;
    panel.badge.hidden = !this.thing || now === null;
    panel.element.classList.toggle("ol-no-score", now === null);
    for (const element of [panel.scoreText, panel.what, panel.foundText]) element.replaceChildren();
    if (!this.thing) return panel.scoreText.append("no object chosen");
    if (now === null) return panel.scoreText.append(`does not know the class “${this.thing.name}”`);
    const change = before > 0 ? (now - before) / before : 0;
    const word = Math.abs(change) < 0.005 ? "" : `${change < 0 ? "▼" : "▲"} ${percent(Math.abs(change))}`;
    const whose = this.thing.source === null ? "the true box" : "the chosen box";
    panel.what.append("Score of ", make("strong", "", `“${this.thing.name}”`), ` at ${whose}, without → with your occluder`);
    panel.foundText.textContent = found === null ? "Its own detections: none matches the object"
      : `Its own best detection of the object: ${found.toFixed(2)}${seen ? "" : ", too low to be drawn"}`;
    panel.scoreText.append(make("span", "ol-number", `${before.toFixed(2)} → `),
      make("strong", "ol-number", now.toFixed(2)), make("span", `ol-change ${change < 0 ? "ol-fell" : "ol-rose"}`, ` ${word}`));
    panel.bar.style.width = length(now);
    panel.tick.style.left = length(before);
    const y = (score) => 23 - 22 * score;
    panel.sparkBefore.setAttribute("y1", y(before));
    panel.sparkBefore.setAttribute("y2", y(before));
    const start = HISTORY - panel.history.length;
    panel.sparkLine.setAttribute("points", panel.history.map((score, i) => `${start + i + 0.5},${y(score)}`).join(" "));
  }

  showHidden() {
    const { hidden, hidden_of: of, hidden_by_scene: scene } = this.result;
    const whose = of === "object" ? "the object" : of === "visible pixels" ? "the object's visible pixels" : "the object's box";
    const [all, first] = [hidden ?? 0, scene ?? 0].map((share) => Math.round(100 * share)); // so that the parts make up the sum
    const parts = scene === null ? `${all} % by you` : `${first} % by the scene + ${all - first} % by you = ${all} %`;
    this.hiddenText.textContent = hidden === null ? "No object to hide" : `Hidden: ${parts} of ${whose}`;
    this.sceneBar.style.width = length(scene ?? 0);
    this.hiddenBar.style.width = length((hidden ?? 0) - (scene ?? 0));
  }

  showWaiting() {
    if (this.inflight === null || performance.now() - this.asked < 1500) return;
    const seconds = Math.round((performance.now() - this.asked) / 1000);
    this.time.textContent = `waiting for the kernel … ${seconds} s`;
  }

  showError(text) {
    if (!this.errorLine) return;
    this.errorLine.textContent = text;
    this.errorLine.hidden = false;
  }

  speak() { // for screen readers, once the occluder rests
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => {
      const scores = this.panels.map(({ name }) => [name, this.result.detectors[name].now]).filter(([, now]) => now !== null);
      this.live.textContent = [this.hiddenText.textContent, ...scores.map(([name, now]) => `${name} ${now.toFixed(2)}`)].join(", ");
    }, 800);
  }

  // ---- response map --------------------------------------------------------------------------------------------

  get kind() { // a map belongs to one object and one kind of occluder
    const [x1, y1, x2, y2] = this.result.box;
    return JSON.stringify([this.result.chosen, y2 - y1, x2 - x1, this.result.texture, this.result.outline]);
  }

  get mapFits() {
    return Boolean(this.map && this.result) && this.kind === JSON.stringify(this.map.key);
  }

  stopMap() {
    this.stopped = this.mapKey;
    this.model.send({ kind: "stop-map" });
    this.hideMap();
  }

  toggleMap() {
    if (this.computing) {
      this.stopMap();
    } else if (this.mapFits) {
      this.hideMap();
    } else {
      this.computing = true;
      this.progress.value = 0;
      this.mapKey = this.kind;
      this.model.send({ kind: "map", grid: this.grid.value });
      this.showMapTools();
    }
  }

  hideMap() {
    this.map = null;
    this.computing = false;
    this.showMapTools();
    this.paint();
  }

  showMapTools() {
    if (!this.mapButton) return;
    this.mapButton.textContent = this.computing ? "Stop" : this.mapFits ? "Hide map" : "Response map";
    this.mapButton.disabled = !this.thing;
    this.progress.hidden = !this.computing;
    for (const panel of this.panels) {
      panel.colourBar.hidden = !(this.mapFits && this.map.pictures.has(panel.name));
      if (this.thing) panel.mapLabel.textContent = `score of “${this.thing.name}” with the occluder centred there`;
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
    this.density = window.devicePixelRatio || 1;
    for (const { canvas, element } of this.panels) {
      canvas.width = Math.floor(width * this.scale * this.density);
      canvas.height = Math.floor(height * this.scale * this.density);
      canvas.style.width = `${canvas.width / this.density}px`;
      canvas.style.height = `${canvas.height / this.density}px`;
      element.style.width = `${Math.max(200, canvas.width / this.density)}px`;
    }
    this.paint();
  }

  paint() {
    if (this.painting) return;
    this.painting = requestAnimationFrame(() => {
      this.painting = null;
      if (this.frame) for (const panel of this.panels) this.paintPanel(panel);
    });
  }

  paintPanel(panel) {
    const { canvas } = panel;
    const context = canvas.getContext("2d");
    const { density, scale } = this;
    const picture = this.mapFits ? this.map.pictures.get(panel.name) : undefined;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.imageSmoothingEnabled = scale < 2;
    context.drawImage(picture ? this.clean : this.frame, 0, 0, canvas.width / density, canvas.height / density);
    if (picture) this.paintMap(context, picture);
    if (this.showTruth.checked) for (const thing of this.setup.objects) this.stroke(context, thing.box, "#ffffffcc", 1, [3, 3]);
    const found = this.result.detectors[panel.name];
    const shown = found.scores.map((score, i) => i).filter((i) => found.scores[i] >= this.result.min_score);
    for (const i of shown) {
      this.stroke(context, found.boxes[i], "#00000080", 4);
      this.stroke(context, found.boxes[i], this.colour(found.names[i]), 2);
    }
    if (this.thing) {
      const around = this.thing.box.map((value, i) => value + (i < 2 ? -3 : 3) / scale); // clear of the detection
      this.stroke(context, around, "#000000b0", 4.5);
      this.stroke(context, around, CHOSEN, 2.5, [7, 4]);
    }
    const tags = shown.map((i) => ({
      box: found.boxes[i].map((value) => value * scale), colour: this.colour(found.names[i]),
      text: `${found.names[i]} ${found.scores[i].toFixed(2)}`,
    }));
    paintTags(context, tags, canvas.width / density, canvas.height / density);
    this.paintOccluder(context);
  }

  paintMap(context, picture) {
    const side = this.map.stride * this.scale;
    context.save();
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, 0, 0, picture.width * side, picture.height * side);
    context.restore();
  }

  stroke(context, box, colour, width, dashes = []) {
    const [x1, y1, x2, y2] = box.map((value) => value * this.scale);
    context.setLineDash(dashes);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    context.setLineDash([]);
  }

  colour(name) {
    this.colours ??= new Map();
    if (!this.colours.has(name)) this.colours.set(name, COLOURS[this.colours.size % COLOURS.length]);
    return this.colours.get(name);
  }

  paintOccluder(context) {
    const [x1, y1, x2, y2] = this.box.map((value) => value * this.scale);
    for (const [colour, width] of [["#000000c0", 3.5], ["#ffffff", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      if (this.result.outline === "ellipse") context.ellipse((x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2, 0, 0, 7);
      else context.rect(x1, y1, x2 - x1, y2 - y1);
      context.stroke();
    }
    for (const [x, y] of this.handles()) {
      if (x === null) continue;
      context.fillStyle = "#000";
      context.fillRect(x - 5.5, y - 5.5, 11, 11);
      context.fillStyle = "#fff";
      context.fillRect(x - 4, y - 4, 8, 8);
    }
  }

  // ---- mouse and touch -----------------------------------------------------------------------------------------

  at(event) {
    const edge = event.currentTarget.getBoundingClientRect();
    return [(event.clientX - edge.left) / this.scale, (event.clientY - edge.top) / this.scale];
  }

  // Middles of the handles in CSS pixels: outside the occluder, but inside the picture; none where they would crowd.
  handles() {
    const [x1, y1, x2, y2] = this.box.map((value) => value * this.scale);
    const [width, height] = [this.setup.width * this.scale, this.setup.height * this.scale];
    return HANDLES.map(([u, v]) => {
      if ((u === 0.5 && x2 - x1 < ROOMY) || (v === 0.5 && y2 - y1 < ROOMY)) return [null, null];
      const x = x1 + u * (x2 - x1) + (2 * u - 1) * OUT;
      const y = y1 + v * (y2 - y1) + (2 * v - 1) * OUT;
      return [clamp(x, 6, width - 6), clamp(y, 6, height - 6)];
    });
  }

  handleAt(point) {
    const [x, y] = point.map((value) => value * this.scale);
    const distances = this.handles().map(([u, v]) => (u === null ? Infinity : Math.max(Math.abs(u - x), Math.abs(v - y))));
    const nearest = distances.indexOf(Math.min(...distances));
    return distances[nearest] <= REACH ? nearest : -1;
  }

  down(event, panel) {
    if (!this.result || event.button !== 0) return;
    const point = this.at(event);
    const handle = this.handleAt(point);
    const inside = contains(this.box, point);
    panel.canvas.focus({ preventScroll: true });
    event.preventDefault();
    event.stopPropagation();
    this.grab = { point, handle, box: [...this.box], drags: handle >= 0 || inside, moved: false };
    panel.canvas.setPointerCapture(event.pointerId);
  }

  move(event, panel) {
    if (!this.result) return;
    const point = this.at(event);
    this.showMapValue(panel, point);
    if (!this.grab) {
      const handle = this.handleAt(point);
      const object = this.objectAt(point) !== null;
      panel.canvas.style.cursor = handle >= 0 ? `${CURSORS[handle]}-resize` : contains(this.box, point) ? "move" : object ? "pointer" : "default";
      return;
    }
    const shift = [point[0] - this.grab.point[0], point[1] - this.grab.point[1]];
    if (Math.hypot(...shift) * this.scale > 3) this.grab.moved = true;
    if (this.grab.drags && this.grab.moved) this.dragTo(shift);
  }

  dragTo([dx, dy]) {
    const [x1, y1, x2, y2] = this.grab.box;
    if (this.grab.handle < 0) return this.place([x1 + dx, y1 + dy, x2 + dx, y2 + dy]);
    const [u, v] = HANDLES[this.grab.handle];
    const { smallest, width, height } = this.setup;
    this.place([
      u === 0 ? clamp(x1 + dx, 0, x2 - smallest) : x1, v === 0 ? clamp(y1 + dy, 0, y2 - smallest) : y1,
      u === 1 ? clamp(x2 + dx, x1 + smallest, width) : x2, v === 1 ? clamp(y2 + dy, y1 + smallest, height) : y2,
    ]);
  }

  place(box) {
    const { width, height } = this.setup;
    const [w, h] = [Math.round(Math.min(width, box[2] - box[0])), Math.round(Math.min(height, box[3] - box[1]))];
    const x = Math.round(clamp(box[0], 0, width - w));
    const y = Math.round(clamp(box[1], 0, height - h));
    const next = [x, y, x + w, y + h];
    if (next.join() === this.box.join()) return;
    this.box = next;
    this.paint();
    this.ask({ box: next });
  }

  up(event) {
    if (!this.grab) return;
    const clicked = !this.grab.moved;
    this.grab = null;
    const object = clicked ? this.objectAt(this.at(event)) : null;
    if (object !== null && object !== this.result.chosen) this.ask({ chosen: object });
  }

  objectAt(point) {
    const hits = this.setup.objects.map((thing, i) => [area(thing.box), i]).filter(([, i]) => contains(this.setup.objects[i].box, point));
    return hits.length ? hits.sort((a, b) => a[0] - b[0])[0][1] : null;
  }

  showMapValue(panel, [x, y]) {
    if (!this.mapFits || !this.map.values.has(panel.name)) return;
    const { stride, rows, columns } = this.map;
    const [row, column] = [Math.floor(y / stride), Math.floor(x / stride)];
    const inside = row >= 0 && row < rows && column >= 0 && column < columns;
    const value = inside ? this.map.values.get(panel.name)[row * columns + column] : NaN;
    panel.mapText.textContent = Number.isNaN(value) ? "" : value.toFixed(2);
  }

  // ---- keyboard ------------------------------------------------------------------------------------------------

  key(event) {
    if (!this.result || event.ctrlKey || event.metaKey) return;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const action = { t: () => this.nextTexture(1), T: () => this.nextTexture(-1), o: () => this.nextObject(), m: () => this.toggleMap() }[event.key];
    if (!arrow && !action) return;
    event.preventDefault();
    event.stopPropagation();
    if (action) return void action();
    const { width, height, smallest } = this.setup;
    const step = event.altKey ? 1 : Math.max(1, Math.round(Math.max(width, height) / 64));
    const [dx, dy] = [arrow[0] * step, arrow[1] * step];
    const [x1, y1, x2, y2] = this.box;
    if (event.shiftKey) this.place([x1, y1, clamp(x2 + dx, x1 + smallest, width), clamp(y2 + dy, y1 + smallest, height)]);
    else this.place([x1 + dx, y1 + dy, x2 + dx, y2 + dy]);
  }

  nextTexture(step) {
    const { textures } = this.setup;
    const index = textures.indexOf(this.texture.value) + step + textures.length;
    this.texture.value = textures[index % textures.length];
    this.ask({ texture: this.texture.value });
  }

  nextObject() {
    const count = this.setup.objects.length;
    if (count) this.ask({ chosen: ((this.result.chosen ?? -1) + 1) % count });
  }
}

export default {
  render({ model, el }) {
    const view = new View(model, el);
    return () => view.close();
  },
};
