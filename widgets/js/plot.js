// Draws a figure of plotly as Python has it, and says what is pointed at.

import { make } from "./shared/elements.js";
import { moduleOf } from "./shared/view.js";

const CONFIG = { displaylogo: false };

// The library, of which all plots of a page share one.
async function libraryOf(source) {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  await import(url);
  URL.revokeObjectURL(url);
  return globalThis.Plotly;
}

// The same name for the same line in two figures, so that one that the reader has hidden stays hidden. plotly looks for
// it by a selector of CSS, so that it is made of letters, digits and underscores.
export function identified(lines) {
  const seen = new Map();
  return lines.map((line) => {
    const name = [line.name, line.xaxis, line.mode].join(" ");
    seen.set(name, (seen.get(name) ?? 0) + 1);
    const whole = `${name} ${seen.get(name)}`;
    return { ...line, uid: whole.replace(/[^A-Za-z0-9]/gu, (sign) => `_${sign.codePointAt(0).toString(16)}_`) };
  });
}

class View {
  constructor(model, el) {
    this.model = model;
    this.box = make("div", "wb-plot");
    el.append(this.box);
    this.plotly = null;
    this.turn = 0;
    this.drawn = false;
    this.drawing = 0;
    this.listeners = { "change:_drawn": () => this.draw(), "change:_moved": () => this.move(), "change:_selected": () => this.select() };
    for (const [name, listener] of Object.entries(this.listeners)) model.on(name, listener);
    this.observer = new ResizeObserver(() => this.fit());
    globalThis.workbenchPlotly ??= libraryOf(model.get("_library"));
    this.closed = false;
    globalThis.workbenchPlotly.then((plotly) => {
      if (this.closed) return;
      this.plotly = plotly;
      this.observer.observe(this.box);
    });
  }

  close() {
    this.closed = true;
    this.observer.disconnect();
    for (const [name, listener] of Object.entries(this.listeners)) this.model.off(name, listener);
    this.plotly?.purge(this.box);
  }

  // A figure can be measured and drawn only where there is room for it.
  fit() {
    if (!this.box.clientWidth) return;
    if (this.drawn) this.own(this.plotly.Plots.resize(this.box));
    else this.draw();
  }

  // While the figure is drawn plotly may say that nothing is selected, which is no choice of the reader's.
  own(drawn) {
    this.drawing += 1;
    const done = () => { this.drawing -= 1; };
    drawn.then(done, done);
  }

  draw() {
    if (!this.plotly || !this.box.clientWidth) return;
    const { data, layout } = JSON.parse(this.model.get("_drawn"));
    for (const [number, points] of Object.entries(this.model.get("_moved"))) Object.assign(data[number], points);
    for (const [number, points] of Object.entries(this.model.get("_selected"))) data[number].selectedpoints = points;
    this.own(this.plotly.react(this.box, identified(data), { uirevision: "kept", ...layout }, CONFIG));
    if (!this.drawn) this.listen();
    this.drawn = true;
  }

  listen() {
    for (const event of ["hover", "click"]) this.box.on(`plotly_${event}`, ({ points }) => this.point(event, points[0]));
    this.box.on("plotly_selected", (event) => event?.points.length && this.lasso(event.points));
    this.box.on("plotly_deselect", () => this.drawing || this.lasso([]));
  }

  move() {
    const moved = Object.entries(this.model.get("_moved"));
    if (!moved.length) return void this.draw();
    if (!this.drawn) return;
    const points = moved.map(([, each]) => each);
    const places = { x: points.map(({ x }) => x), y: points.map(({ y }) => y) };
    this.own(this.plotly.restyle(this.box, places, moved.map(([number]) => Number(number))));
  }

  // Show the chosen points; what was drawn around them goes, as it may be about others.
  select() {
    if (!this.drawn) return;
    const chosen = this.model.get("_selected");
    const lines = this.box.data.map((_, number) => chosen[number] ?? null);
    this.own(this.plotly.update(this.box, { selectedpoints: lines }, { selections: [] }, lines.map((_, number) => number)));
  }

  lasso(found) {
    const points = {};
    for (const { curveNumber, pointNumber } of found) (points[curveNumber] ??= []).push(pointNumber);
    this.model.set("_lassoed", { points, turn: ++this.turn });
    this.model.save_changes();
  }

  point(event, { curveNumber, pointNumber }) {
    this.model.set("_pointed", { event, line: curveNumber, point: pointNumber, turn: ++this.turn });
    this.model.save_changes();
  }
}

export default moduleOf(View);
