// A widget made of ipywidgets on a page without them: the page has their models, and here is how they look.

import { LAYOUT } from "python";
import { CONTROLS } from "./mirror/controls.js";
import { BOXES } from "./mirror/boxes.js";
import { make } from "./shared/elements.js";
import { NewestWins } from "./shared/newest.js";
import { watchTheme } from "./shared/theme.js";

const TOO_OLD = "This page cannot show widgets within widgets: that needs anywidget 0.11 or later.";
const VIEWS = { ...BOXES, ...CONTROLS };

// ipywidgets has models of others as such, other hosts have their names.
const idOf = (model) => model.model_id ?? model.replace("IPY_MODEL_", "");

class View {
  constructor(model, el, host) {
    this.host = host;
    this.newest = new NewestWins((turn, changes) => {
      Object.values(changes).forEach((change) => change());
      model.send({ turn });
    });
    model.on("msg:custom", ({ turn }) => { if (this.newest.answered(turn)) this.newest.next(); });
    this.count = 0;
    this.ends = [watchTheme(el, (dark) => { el.style.colorScheme = dark ? "dark" : "light"; })];
    const root = this.show(model.get("root"));
    this.ends.push(root.end);
    el.append(root.el);
  }

  close() {
    this.ends.forEach((end) => end());
  }

  // The element of a model, another one as soon as the page has the model, and what takes it away.
  show(reference) {
    const leaving = new AbortController();
    const shown = { el: make("div"), end: () => { leaving.abort(); shown.el.remove(); } };
    this.draw(shown, idOf(reference), leaving.signal).catch((error) => {
      shown.el.append(make("div", "wb-error", String(error), { role: "alert" }));
    });
    return shown;
  }

  async draw(shown, id, signal) {
    const model = await this.host.getModel(`anywidget:${id}`);
    const [layout, style] = await Promise.all(["layout", "style"].map((name) => this.model(model.get(name))));
    if (signal.aborted) return;
    const own = model.get("_model_module") === "anywidget";
    const view = own ? {} : VIEWS[model.get("_view_name")];
    if (!view) throw new Error(`${model.get("_view_name")} is not known here`);
    const el = make(view.tag ?? "div", view.className);
    el.classList.add(...model.get("_dom_classes"));
    shown.el.replaceWith(el); // first, as the style sheets of a widget go to the page that it lies in
    shown.el = el;
    watch(layout, LAYOUT, signal, (name) => el.style.setProperty(name.replaceAll("_", "-"), layout.get(name) ?? ""));
    if (own) await (await this.host.getWidget(`anywidget:${id}`)).render({ el, signal });
    else view.draw(this.context(id, model, style, el, signal));
  }

  async model(reference) {
    return reference ? this.host.getModel(`anywidget:${idOf(reference)}`) : null;
  }

  // What a view gets.
  context(id, model, style, el, signal) {
    return {
      model, style, el,
      watch: (names, action) => watch(model, names, signal, action),
      tell: (name, value) => this.newest.ask({ [`${id} ${name}`]: () => {
        model.set(name, value);
        model.save_changes();
      } }),
      send: (content) => this.newest.ask({ [`sent ${++this.count}`]: () => model.send(content) }),
      show: (reference) => this.show(reference),
      parts: () => model.get("children").map((part) => [idOf(part), part]),
      atEnd: (action) => signal.addEventListener("abort", action, { once: true }),
    };
  }
}

// Call `action` with each name now, and when its value has changed.
function watch(model, names, signal, action) {
  for (const name of names) {
    const listener = () => action(name);
    model.on(`change:${name}`, listener);
    signal.addEventListener("abort", () => model.off(`change:${name}`, listener), { once: true });
    listener();
  }
}

export default {
  render({ model, el, host }) {
    el.classList.add("wb-panel", "wb-mirror");
    if (!host) return void el.append(make("div", "wb-error", TOO_OLD, { role: "alert" }));
    const view = new View(model, el, host);
    return () => view.close();
  },
};
