// Annotation in six stages: what is drawn, is drawn here; each action goes to Python, which has it on disk when it answers.

import { bitmap } from "./shared/canvas.js";
import { button, errorLine, make } from "./shared/elements.js";
import { saveMenu } from "./shared/save_view.js";
import { connect, moduleOf } from "./shared/view.js";
import { Board } from "./annotator/board.js";
import { Collecting } from "./annotator/collecting.js";
import { Crowd } from "./annotator/crowd.js";
import { Head } from "./annotator/head.js";
import { Labelling } from "./annotator/labelling.js";
import { PictureList } from "./annotator/list.js";
import { prepared } from "./annotator/marks.js";
import { NewCategory } from "./annotator/new_category.js";
import { Segmentation } from "./annotator/segmentation.js";
import { Spotting } from "./annotator/spotting.js";
import { Verification } from "./annotator/verification.js";

const TOOLS = { collecting: Collecting, labelling: Labelling, spotting: Spotting, segmentation: Segmentation, verification: Verification, crowd: Crowd };
const GRIDS = ["collecting", "verification"]; // stages without a single picture
const NEWS = 4000; // milliseconds between looks at what other kernels did
const COMMON = "U and R: undo and redo. , and . : the picture before and after, O: the next open one, D: done, next picture. C: a new category.";

class View {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.id = Math.random().toString(36).slice(2);
    this.asked = new Map(); // number of a question → what its answer is given to
    this.count = 0;
    this.state = this.picture = this.tool = null;
    this.objects = [];
    this.first = true;
    this.disconnect = connect(model, el, "annotator", (message, buffers) => this.receive(message, buffers));
    this.news = setInterval(() => {
      if (!document.hidden && el.offsetParent !== null && this.asked.size === 0) this.tell({ kind: "news" });
    }, NEWS);
    this.ask({ kind: "hello" });
  }

  close() {
    this.disconnect();
    clearInterval(this.news);
    this.tool?.close();
    this.board?.close();
  }

  // ---- messages ------------------------------------------------------------------------------------------------

  // A question; resolves to its answer { ok, result }.
  ask(message) {
    const seq = ++this.count;
    if (!this.sent({ ...message, seq, view: this.id })) return Promise.resolve({ ok: false });
    this.el.setAttribute("aria-busy", "true");
    return new Promise((resolve) => this.asked.set(seq, { resolve }));
  }

  // The same without waiting for an answer.
  tell(message) {
    this.sent({ ...message, view: this.id, seq: null });
  }

  // Whether a message could be sent: without its kernel it cannot, which the page says by itself.
  sent(message) {
    try {
      this.model.send(message);
      return true;
    } catch {
      return false;
    }
  }

  async act(what, values, more = {}) {
    const answer = await this.ask({ kind: "act", do: what, values, ...more });
    if (answer.ok) this.saved.textContent = `saved in ${this.state.file}, ${Math.round(answer.milliseconds)} ms`;
    return answer;
  }

  set(state) {
    return this.ask({ kind: "set", state });
  }

  receive(message, buffers) {
    if (message.kind === "done") {
      this.done(message);
      return;
    }
    // Pictures take a while to decode: what comes after them waits.
    this.queue = (this.queue ?? Promise.resolve()).then(() => this.take(message, buffers)).catch((error) => this.fail(String(error)));
  }

  async take(message, buffers) {
    if (message.kind === "state") this.takeState(message);
    else if (message.kind === "picture") await this.takePicture(message, buffers);
    else if (message.kind === "candidates" && this.tool instanceof Collecting) this.tool.take(message, buffers);
    else if (message.kind === "verdicts" && this.tool instanceof Collecting) this.tool.mark(message.items);
    else if (message.kind === "grid" && this.tool instanceof Verification) this.tool.take(message, buffers);
  }

  done(message) {
    (this.queue ?? Promise.resolve()).then(() => {
      const question = message.view === this.id ? this.asked.get(message.seq) : null;
      if (question) {
        this.asked.delete(message.seq);
        if (message.ok) this.fail("");
      }
      if (!message.ok && message.view === this.id) this.fail(message.text);
      this.el.setAttribute("aria-busy", String(this.asked.size > 0));
      question?.resolve(message);
    });
  }

  takeState(state) {
    const stage = this.state?.stage;
    this.state = state;
    this.names = state.groups.map(([name]) => name);
    if (!this.head) this.build();
    if (stage !== state.stage) this.change(state.stage);
    this.head.show(state);
    this.list.show(state);
    this.whole.textContent = state.problems.join("\n");
    this.whole.hidden = state.problems.length === 0;
    if (this.tool instanceof Collecting && this.tool.tiles) this.tool.showState();
  }

  async takePicture(message, buffers) {
    if (GRIDS.includes(this.state.stage)) return;
    if (!message.anew && this.picture?.place !== message.place) return; // of a picture that is left
    if (!message.anew && this.picture?.example) return; // it is compared
    const own = message.anew && message.place === this.picture?.place && this.tool?.unsaved && !message.example && !this.picture.example;
    if (message.error) {
      this.problems.textContent = message.error;
      this.problems.hidden = false;
      this.caption.textContent = message.name;
      this.picture = { ...message, objects: [], crosses: [], labels: [], claims: {}, spotted: [], looked: [] };
      this.objects = [];
      this.board.bitmap = null;
      this.board.paint();
      return;
    }
    const anew = message.anew && !own;
    const size = [message.width, message.height];
    const before = this.picture;
    this.picture = { objects: [], crosses: [], labels: [], claims: {}, spotted: [], looked: [], ...message };
    this.objects = prepared(this.picture.objects, this.names, size);
    this.problems.textContent = message.problems.join("\n");
    this.problems.hidden = message.problems.length === 0;
    this.caption.textContent = message.example ? "training example" : `${message.name} · ${message.width} × ${message.height}`;
    if (message.anew) {
      const picture = await bitmap(buffers[0]);
      const same = before?.place === message.place && !before.example && !message.example && this.board.bitmap;
      if (same) this.board.bitmap = picture; // zoom and place stay
      else this.board.show(picture, size);
    }
    this.tool.show(anew, this.first);
    this.first = false;
    this.board.paint();
  }

  // ---- elements ------------------------------------------------------------------------------------------------

  build() {
    this.board = this.el.board = new Board(this);
    this.newCategory = new NewCategory(this);
    this.head = new Head(this, this.state.stages, this.newCategory.opener);
    this.list = new PictureList(this);
    this.error = errorLine();
    this.whole = make("div", "an-problems", "", { role: "note" });
    this.problems = make("div", "an-problems", "", { role: "note" });
    this.place = make("div", "an-place");
    this.caption = make("span", "an-caption");
    this.saved = make("span", "an-saved wb-note", "", { role: "status" });
    const zoom = make("span", "wb-line an-zoom");
    const plus = button("+", () => this.board.zoom(1.5));
    plus.setAttribute("aria-label", "Zoom in");
    const minus = button("−", () => this.board.zoom(1 / 1.5));
    minus.setAttribute("aria-label", "Zoom out");
    zoom.append(minus, plus, button("Whole picture", () => this.board.whole()));
    this.under = make("div", "wb-line an-under");
    this.under.append(this.caption, zoom);
    this.help = make("details", "an-help wb-note");
    this.helpText = make("div", "");
    this.help.append(make("summary", "", "Mouse and keys"), this.helpText);
    this.live = make("span", "an-live", "", { "aria-live": "polite" });
    this.main = make("div", "an-main");
    this.main.append(this.problems, this.place, this.board.element, this.under);
    const body = make("div", "an-body");
    body.append(this.list.element, this.main);
    this.el.replaceChildren(this.head.element, this.newCategory.element, this.error, this.whole, body, this.saved, this.help, this.live, saveMenu(this.model));
  }

  // Another stage.
  change(stage) {
    this.tool?.close();
    this.tool = new TOOLS[stage](this);
    this.place.replaceChildren(this.tool.element);
    const grid = GRIDS.includes(stage);
    this.board.element.hidden = this.under.hidden = this.list.element.hidden = this.newCategory.opener.hidden = grid;
    if (grid) this.newCategory.show(false);
    if (grid) this.problems.hidden = true;
    this.board.glass = false;
    this.picture = null;
    this.helpText.textContent = `${this.tool.help} ${COMMON}`;
    this.board.canvas.setAttribute("aria-label", `The picture. ${this.tool.help} ${COMMON}`);
  }

  // Words for screen readers, and on the page where `seen`.
  say(text, seen = false) {
    this.live.textContent = text;
    if (seen) this.saved.textContent = text;
  }

  fail(text) {
    this.error.textContent = text;
    this.error.hidden = text === "";
  }

  // ---- the ways from here ----------------------------------------------------------------------------------------

  // Whether something drawn would be lost; then it says so.
  busy() {
    if (!this.tool?.unsaved) return false;
    this.fail("Save (Enter) or discard (Escape) what you have drawn first.");
    return true;
  }

  go(stage) {
    if (!this.busy()) this.set({ stage });
  }

  open(place) {
    if (!this.busy()) this.set({ picture: place });
  }

  jump(by) {
    const place = by < 0 ? this.state.before : this.state.after;
    if (place !== null) this.open(place);
  }

  next() {
    if (!this.busy()) this.ask({ kind: "next" });
  }

  reopen() {
    if (!this.busy()) this.act("reopen", { image: this.picture.name });
  }

  turn(which) {
    if (!this.busy()) this.ask({ kind: which });
  }

  renew() {
    return this.ask({ kind: "hello" });
  }

  toggleGlass() {
    this.board.setGlass(!this.board.glass);
    if (this.tool.glass) this.tool.glass.checked = this.board.glass;
  }

  key(event) {
    const action = {
      u: () => this.turn("undo"), r: () => this.turn("redo"), ",": () => this.jump(-1), ".": () => this.jump(1), o: () => this.next(),
      d: () => this.tool.finish?.(), c: () => this.newCategory.show(true),
    }[event.key];
    if (!action) return false;
    action();
    return true;
  }
}

export default moduleOf(View);
