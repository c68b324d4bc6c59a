// Draws pages of thumbnails, one image large, and the statistics; Python finds and sends them.

const SIDE = 168; // CSS pixels of a thumbnail's longer side
const LARGE = 420; // CSS pixels of the large image's longer side

function make(tag, className, text, attributes = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const bitmap = (bytes, type) => createImageBitmap(new Blob([bytes], { type }));
const percent = (share) => (share === null ? "unknown" : `${(100 * share).toFixed(0)} %`);

class View {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.pending = 0; // questions without an answer
    el.classList.add("dataset-browser");
    el.dataset.lmSuppressShortcuts = "true"; // JupyterLab's one-letter shortcuts stay out of our keys
    this.onMessage = (message, buffers) => this.receive(message, buffers);
    model.on("msg:custom", this.onMessage);
    model.send({ kind: "hello" });
  }

  close() {
    this.model.off("msg:custom", this.onMessage);
  }

  set(state) {
    this.wait(1);
    this.model.send({ kind: "set", state });
  }

  wait(change) {
    this.pending = Math.max(0, this.pending + change);
    this.el.setAttribute("aria-busy", String(this.pending > 0));
  }

  async receive(message, buffers) {
    if (message.kind === "page") {
      if (!this.tools) this.build(message);
      this.error.hidden = true;
      this.state = message;
      this.showPage(message, buffers);
    } else if (!this.tools) {
      return;
    } else if (message.kind === "detail") {
      await this.showDetail(message.item, buffers);
    } else if (message.kind === "statistics") {
      this.statistics.textContent = message.text;
      this.count.hidden = message.complete;
      this.count.disabled = false;
      this.progress.hidden = true;
      if (this.figure.src) URL.revokeObjectURL(this.figure.src);
      this.figure.src = URL.createObjectURL(new Blob([buffers[0]], { type: "image/png" }));
      this.figure.alt = message.text;
    } else if (message.kind === "counting") {
      this.progress.hidden = false;
      this.progress.value = message.done;
    } else if (message.kind === "error") {
      this.error.textContent = message.text;
      this.error.hidden = false;
    } else if (message.kind === "done") {
      this.wait(-1);
    }
  }

  // ---- elements ------------------------------------------------------------------------------------------------

  build(message) {
    this.classes = message.classes;
    this.colours = message.colours;
    this.tools = this.buildTools();
    this.error = make("div", "db-error", "", { role: "alert" });
    this.grid = make("div", "db-grid");
    this.detail = make("div", "db-detail");
    this.detail.hidden = true;
    this.statistics = make("span", "");
    this.count = make("button", "db-button", "Count all", { type: "button" });
    this.count.addEventListener("click", () => { this.count.disabled = true; this.model.send({ kind: "count" }); });
    this.progress = make("progress", "", undefined, { max: 1, value: 0, "aria-label": "Counting" });
    this.progress.hidden = true;
    const line = make("div", "db-line");
    line.append(this.statistics, this.count, this.progress);
    this.figure = make("img", "db-figure");
    this.hint = make("div", "db-note", "Click a picture to see it large, with the names and masks of its objects and how much of each is hidden.");
    this.el.replaceChildren(this.tools, this.error, this.hint, this.detail, this.grid, line, this.figure);
  }

  buildTools() {
    const tools = make("div", "db-line db-tools", undefined, { role: "toolbar", "aria-label": "Which images" });
    this.title = make("strong", "db-title");
    this.classSelect = make("select", "", undefined, { "aria-label": "Class" });
    this.classSelect.append(make("option", "", "any class", { value: "-1" }));
    this.classes.forEach((name, i) => this.classSelect.append(make("option", "", name, { value: i })));
    this.classSelect.addEventListener("change", () => {
      const index = Number(this.classSelect.value);
      this.set({ class_name: index < 0 ? null : this.classes[index] });
    });
    this.low = this.bound("Least hidden, percent");
    this.high = this.bound("Most hidden, percent");
    const range = make("span", "db-field", "that is hidden by ");
    range.append(this.low, " to ", this.high, " %");
    this.boxes = this.toggle("show boxes", true);
    this.masks = this.toggle("show masks", false);
    this.masks.label.title = "In the large picture, where the data has masks";
    this.previous = make("button", "db-button", "‹ Back", { type: "button" });
    this.next = make("button", "db-button", "Next ›", { type: "button" });
    this.place = make("span", "db-place");
    this.previous.addEventListener("click", () => this.set({ page: this.state.page - 1 }));
    this.next.addEventListener("click", () => this.set({ page: this.state.page + 1 }));
    const label = make("label", "db-field", "Pictures with an object of ");
    label.append(this.classSelect);
    const turn = make("span", "db-turn");
    turn.append(this.previous, this.place, this.next);
    tools.append(this.title, label, range, this.boxes.label, this.masks.label, turn);
    return tools;
  }

  bound(name) {
    const input = make("input", "", undefined, { type: "number", min: 0, max: 100, step: 5, placeholder: name.startsWith("Least") ? 0 : 100, "aria-label": name });
    input.addEventListener("change", () => {
      const value = (one, other) => (one.value === "" ? other : Math.min(100, Math.max(0, Number(one.value))) / 100);
      const none = this.low.value === "" && this.high.value === "";
      this.set({ occlusion: none ? null : [value(this.low, 0), value(this.high, 1)] });
    });
    return input;
  }

  toggle(name, on) {
    const label = make("label", "db-field");
    const input = make("input", "", undefined, { type: "checkbox" });
    input.checked = on;
    input.addEventListener("change", () => this.repaint());
    label.append(input, ` ${name}`);
    return { label, input };
  }

  // ---- a page --------------------------------------------------------------------------------------------------

  showPage(message, buffers) {
    this.title.textContent = message.title;
    this.classSelect.value = message.class_name === null ? "-1" : this.classes.indexOf(message.class_name);
    [this.low, this.high].forEach((input, i) => {
      if (document.activeElement === input) return; // somebody is typing there
      input.value = message.occlusion === null ? "" : Math.round(100 * message.occlusion[i]);
    });
    const filtered = message.class_name !== null || message.occlusion !== null;
    const last = message.first + message.items.length;
    const total = filtered ? (message.more ? "more" : last) : message.total;
    this.place.textContent = message.items.length ? `${message.first + 1} to ${last} of ${total.toLocaleString()}` : "none";
    this.previous.disabled = message.page === 0;
    this.next.disabled = !message.more;
    this.thumbnails = [];
    this.grid.replaceChildren(...message.items.map((item, i) => this.thumbnail(item, buffers[i])));
    if (!message.items.length) this.grid.append(make("div", "db-note", "No image has such an object."));
  }

  thumbnail(item, bytes) {
    const button = make("button", "db-thumbnail", undefined, { type: "button" });
    button.addEventListener("click", () => this.set({ selected: item.position }));
    button.classList.toggle("db-selected", item.position === this.state.selected);
    if (item.error) {
      button.append(make("span", "db-broken", item.error), make("span", "db-caption", `image ${item.position}`));
      return button;
    }
    const names = item.labels.map((label) => this.classes[label - 1]).join(", ") || "no object";
    button.setAttribute("aria-label", `image ${item.position}: ${names}`);
    const canvas = make("canvas");
    const entry = { item, canvas, scale: SIDE / Math.max(item.width, item.height), tags: false, button };
    button.append(canvas, make("span", "db-caption", `image ${item.position}: ${names}`));
    this.thumbnails.push(entry);
    bitmap(bytes, "image/png").then((picture) => { entry.picture = picture; this.draw(entry); });
    return button;
  }

  repaint() {
    for (const entry of [...(this.thumbnails ?? []), this.large]) if (entry?.picture) this.draw(entry);
  }

  draw({ item, canvas, scale, picture, masks, tags }) {
    const density = window.devicePixelRatio || 1;
    canvas.width = Math.round(item.width * scale * density);
    canvas.height = Math.round(item.height * scale * density);
    canvas.style.width = `${canvas.width / density}px`;
    canvas.style.height = `${canvas.height / density}px`;
    const context = canvas.getContext("2d");
    context.scale(density, density);
    const size = [item.width * scale, item.height * scale];
    context.imageSmoothingEnabled = scale < 2;
    context.drawImage(picture, 0, 0, ...size);
    if (masks && this.masks.input.checked) context.drawImage(masks, 0, 0, ...size);
    if (!this.boxes.input.checked) return;
    const drawn = item.boxes.map((box, i) => this.drawBox(context, item, i, scale));
    if (tags) paintTags(context, drawn, ...size);
  }

  drawBox(context, item, i, scale) { // returns its tag
    const box = item.boxes[i].map((value) => value * scale);
    const [x1, y1, x2, y2] = box;
    const colour = this.colours[(item.labels[i] - 1) % this.colours.length];
    for (const [style, width] of [["#00000080", 3.5], [colour, 1.8]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    }
    return { box, colour, text: `${i + 1}: ${this.classes[item.labels[i] - 1]}` };
  }

  // ---- one image -----------------------------------------------------------------------------------------------

  async showDetail(item, buffers) {
    this.state.selected = item?.position ?? null;
    for (const { item: other, button } of this.thumbnails) button.classList.toggle("db-selected", other.position === item?.position);
    this.detail.hidden = item === null;
    this.hint.hidden = item !== null;
    this.large = null;
    if (item === null) return;
    const close = make("button", "db-button", "Close", { type: "button" });
    close.addEventListener("click", () => this.set({ selected: null }));
    const head = make("div", "db-line");
    head.append(make("strong", "", `Image ${item.position}`), close);
    const side = make("div", "db-side");
    side.append(head);
    if (item.error) {
      side.append(make("div", "db-error", item.error));
      this.detail.replaceChildren(side);
      return;
    }
    const fit = Math.min(LARGE / item.width, LARGE / item.height);
    const canvas = make("canvas", "db-large", undefined, { role: "img", "aria-label": `image ${item.position}` });
    const scale = fit >= 2 ? Math.floor(fit) : fit;
    side.append(make("div", "db-note", `${item.width} × ${item.height} pixels, image id ${item.image_id}`), this.table(item));
    this.detail.replaceChildren(canvas, side);
    const large = { item, canvas, scale, tags: true, picture: await bitmap(buffers[0]) };
    if (item.masked) large.masks = await bitmap(buffers[1], "image/png");
    this.masks.input.disabled = !item.masked;
    this.large = large;
    this.draw(large);
  }

  table(item) {
    const table = make("table", "db-table");
    const row = (tag, texts) => {
      const line = make("tr");
      line.append(...texts.map((text) => make(tag, "", text)));
      return line;
    };
    table.append(row("th", ["", "class", "box x1, y1, x2, y2 (pixels)", "area (pixels)", "hidden", ""]));
    item.labels.forEach((label, i) => table.append(row("td", [
      String(i + 1), this.classes[label - 1], item.boxes[i].join(", "),
      item.area ? Math.round(item.area[i]).toLocaleString() : "", percent(item.occlusion[i]), item.flags[i],
    ])));
    if (!item.labels.length) table.append(row("td", ["", "no object", "", "", "", ""]));
    return table;
  }
}

export default {
  render({ model, el }) {
    const view = new View(model, el);
    return () => view.close();
  },
};
