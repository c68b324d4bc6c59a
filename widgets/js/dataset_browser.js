// Draws pages of thumbnails, one image large, and the statistics; Python finds and sends them.

import { BRIGHT } from "python";
import { smallestAt } from "./shared/boxes.js";
import { HALO, bitmap, fit, paintPicture, strokeBox } from "./shared/canvas.js";
import { button, checkbox, errorLine, field, make, progressBar, select } from "./shared/elements.js";
import { saveMenu } from "./shared/save_view.js";
import { paintTags } from "./shared/tags.js";
import { watchTheme } from "./shared/theme.js";
import { connect, moduleOf } from "./shared/view.js";

const SIDE = 168; // CSS pixels of a thumbnail's longer side
const LARGE = 420; // CSS pixels of the large image's longer side

const percent = (share) => (share === null ? "unknown" : `${(100 * share).toFixed(0)} %`);

class View {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.pending = 0; // questions without an answer
    this.disconnect = connect(model, el, "dataset-browser", (message, buffers) => this.receive(message, buffers));
    this.dark = false; // as Python takes the page to be
    this.unwatch = watchTheme(el, (dark) => {
      if (dark !== this.dark) model.send({ kind: "theme", dark });
      this.dark = dark;
    });
    model.send({ kind: "hello" });
  }

  close() {
    this.unwatch();
    this.disconnect();
  }

  set(state) {
    this.wait(1);
    this.model.send({ kind: "set", state });
  }

  open(position) {
    this.opened = true; // by hand, so that it may come into sight
    this.set({ selected: position, marked: [] });
  }

  // A click on a thumbnail: with Ctrl or Cmd it is marked or no longer, with Shift all from the last one on are.
  pick(event, position) {
    const last = this.last ?? this.state.selected ?? position;
    this.last = position;
    if (event.shiftKey) {
      const shown = this.state.items.map((item) => item.position);
      const [from, to] = [last, position].map((one) => Math.max(0, shown.indexOf(one))).sort((a, b) => a - b);
      this.set({ marked: [...new Set([...this.state.marked, ...shown.slice(from, to + 1)])] });
    } else if (event.ctrlKey || event.metaKey) {
      const marked = this.state.marked.filter((one) => one !== position);
      this.set({ marked: marked.length === this.state.marked.length ? [...marked, position] : marked });
    } else {
      this.open(position);
    }
  }

  // Back to the thumbnail that was open.
  shut() {
    const thumbnail = this.thumbnails.find(({ item }) => item.position === this.state.selected)?.element;
    this.set({ selected: null });
    thumbnail?.focus({ preventScroll: true });
    thumbnail?.scrollIntoView({ block: "nearest" });
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
    } else if (message.kind === "choice") {
      this.state.marked = message.marked;
      this.showMarks();
      this.choose(message.object);
    } else if (message.kind === "notice") {
      this.notice.textContent = message.text;
      this.notice.hidden = message.text === "";
    } else if (message.kind === "statistics") {
      this.showStatistics(message, buffers[0]);
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
    this.tools = this.buildTools();
    this.error = errorLine();
    this.notice = make("div", "wb-error", "", { role: "status" });
    this.notice.hidden = true;
    this.grid = make("div", "db-grid");
    this.detail = make("div", "db-detail");
    this.detail.hidden = true;
    this.statistics = make("span", "");
    this.count = button("Count all", () => { this.count.disabled = true; this.model.send({ kind: "count" }); });
    this.progress = progressBar("Counting");
    const line = make("div", "wb-line");
    line.append(this.statistics, this.count, this.progress);
    this.figure = make("img", "db-figure wb-picture");
    this.hint = make("div", "wb-note", "Click a picture to see it large, with the names and masks of its objects and how much of each is hidden. Ctrl or Shift + click marks several.");
    this.marks = make("div", "wb-line");
    this.marksText = make("span", "");
    this.marks.append(this.marksText, button("Unmark", () => this.set({ marked: [] })));
    this.el.replaceChildren(this.tools, this.error, this.notice, this.hint, this.marks, this.detail, this.grid, line, this.figure, saveMenu(this.model));
  }

  buildTools() {
    const tools = make("div", "wb-line", undefined, { role: "toolbar", "aria-label": "Which images" });
    this.title = make("strong", "db-title");
    const choices = [["-1", "any class"], ...this.classes.map((name, i) => [i, name])];
    this.classSelect = select(choices, (value) => this.set({ class_name: this.classes[Number(value)] ?? null }), { "aria-label": "Class" });
    this.low = this.bound("Least hidden, percent", 0);
    this.high = this.bound("Most hidden, percent", 100);
    const range = make("span", "wb-field", "that is hidden by ");
    range.append(this.low, " to ", this.high, " %");
    this.boxes = checkbox(true, () => this.repaint());
    this.masks = checkbox(false, () => this.repaint());
    const masked = field(this.masks, " show masks");
    masked.title = "In the large picture, where the data has masks";
    this.previous = button("‹ Back", () => this.set({ page: this.state.page - 1 }));
    this.next = button("Next ›", () => this.set({ page: this.state.page + 1 }));
    this.place = make("span", "db-place");
    const turn = make("span", "db-turn");
    turn.append(this.previous, this.place, this.next);
    tools.append(this.title, field("Pictures with an object of ", this.classSelect), range, field(this.boxes, " show boxes"), masked, turn);
    return tools;
  }

  bound(name, placeholder) {
    const input = make("input", "", undefined, { type: "number", min: 0, max: 100, step: 5, placeholder, "aria-label": name });
    input.addEventListener("change", () => {
      const value = (one, other) => (one.value === "" ? other : Math.min(100, Math.max(0, Number(one.value))) / 100);
      const none = this.low.value === "" && this.high.value === "";
      this.set({ occlusion: none ? null : [value(this.low, 0), value(this.high, 1)] });
    });
    return input;
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
    if (!message.items.length) this.grid.append(make("div", "wb-note", "No image has such an object."));
    this.showMarks();
  }

  showMarks() {
    const { marked, selected } = this.state;
    this.marks.hidden = marked.length === 0;
    this.marksText.textContent = `${marked.length} marked`;
    for (const { item, element } of this.thumbnails) {
      element.classList.toggle("db-selected", item.position === selected);
      element.classList.toggle("db-marked", marked.includes(item.position));
      element.setAttribute("aria-pressed", String(item.position === selected || marked.includes(item.position)));
    }
  }

  thumbnail(item, bytes) {
    const element = make("button", "db-thumbnail", undefined, { type: "button" });
    element.addEventListener("click", (event) => this.pick(event, item.position));
    if (item.error) {
      this.thumbnails.push({ item, element });
      element.append(make("span", "db-broken", item.error), make("span", "db-caption", `image ${item.position}`));
      return element;
    }
    const names = item.labels.map((label) => this.classes[label - 1]).join(", ") || "no object";
    element.setAttribute("aria-label", `image ${item.position}: ${names}`);
    const canvas = make("canvas");
    const entry = { item, canvas, scale: SIDE / Math.max(item.width, item.height), tags: false, element };
    element.append(canvas, make("span", "db-caption", `image ${item.position}: ${names}`));
    this.thumbnails.push(entry);
    bitmap(bytes, "image/png").then((picture) => { entry.picture = picture; this.draw(entry); });
    return element;
  }

  repaint() {
    for (const entry of [...(this.thumbnails ?? []), this.large]) if (entry?.picture) this.draw(entry);
  }

  draw({ item, canvas, scale, picture, masks, tags }) {
    const size = fit(canvas, item.width * scale, item.height * scale);
    const context = paintPicture(canvas, picture, size, scale);
    if (masks && this.masks.checked) context.drawImage(masks, 0, 0, ...size);
    if (!this.boxes.checked) return;
    const drawn = item.boxes.map((box, i) => this.drawBox(context, item, i, scale));
    if (tags) paintTags(context, drawn, ...size);
  }

  drawBox(context, item, i, scale) { // returns its tag
    const colour = BRIGHT[(item.labels[i] - 1) % BRIGHT.length];
    const width = item.object === i ? 4 : 1.8;
    strokeBox(context, item.boxes[i], scale, HALO, width + 1.7);
    strokeBox(context, item.boxes[i], scale, colour, width);
    return { box: item.boxes[i].map((value) => value * scale), colour, text: `${i + 1}: ${this.classes[item.labels[i] - 1]}` };
  }

  showStatistics({ text, complete }, png) {
    this.statistics.textContent = text;
    this.count.hidden = complete;
    this.count.disabled = false;
    this.progress.hidden = true;
    if (this.figure.src) URL.revokeObjectURL(this.figure.src);
    this.figure.src = URL.createObjectURL(new Blob([png], { type: "image/png" }));
    this.figure.alt = text;
  }

  // ---- one image -----------------------------------------------------------------------------------------------

  async showDetail(item, buffers) {
    this.state.selected = item?.position ?? null;
    this.showMarks();
    this.detail.hidden = item === null;
    this.hint.hidden = item !== null;
    this.large = null;
    if (item === null) return;
    const head = make("div", "wb-line");
    head.append(make("strong", "", `Image ${item.position}`), button("Close", () => this.shut()));
    const side = make("div", "db-side");
    side.append(head);
    if (item.error) {
      side.append(make("div", "wb-error", item.error));
      this.detail.replaceChildren(side);
      return;
    }
    const room = Math.min(LARGE / item.width, LARGE / item.height);
    const canvas = make("canvas", "db-large", undefined, { role: "img", "aria-label": `image ${item.position}` });
    canvas.addEventListener("click", ({ offsetX, offsetY }) => this.toggle(smallestAt(item.boxes, [offsetX / scale, offsetY / scale])));
    const scale = room >= 2 ? Math.floor(room) : room;
    side.append(make("div", "wb-note", `${item.width} × ${item.height} pixels, image id ${item.image_id}`), this.table(item));
    this.detail.replaceChildren(canvas, side);
    const large = { item, canvas, scale, tags: true, picture: await bitmap(buffers[0]) };
    if (item.masked) large.masks = await bitmap(buffers[1], "image/png");
    this.masks.disabled = !item.masked;
    this.large = large;
    this.choose(item.object);
    if (this.opened) this.detail.scrollIntoView({ block: "nearest" });
    this.opened = false;
  }

  // Choose an object of the large image in Python, or none if it is chosen already.
  toggle(object) {
    if (object !== null) this.set({ object: object === this.large?.item.object ? null : object });
  }

  // Show which object is chosen.
  choose(object) {
    if (!this.large) return;
    this.large.item.object = object;
    this.draw(this.large);
    [...this.detail.querySelectorAll("tr")].slice(1).forEach((row, i) => {
      row.classList.toggle("db-chosen", i === object);
      row.querySelector("button")?.setAttribute("aria-pressed", String(i === object));
    });
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
    [...table.rows].slice(1).forEach((line, i) => {
      const choice = button(String(i + 1), () => this.toggle(i));
      choice.title = "Choose this object, here and in linked widgets";
      line.cells[0].replaceChildren(choice);
    });
    if (!item.labels.length) table.append(row("td", ["", "no object", "", "", "", ""]));
    return table;
  }
}

export default moduleOf(View);
