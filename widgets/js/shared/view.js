// What every view of messages does first and last.

import { join } from "./page.js";

// Dress the element, and receive what Python sends until the returned function is called.
export function connect(model, el, className, receive) {
  el.classList.add("wb-panel", className);
  model.on("msg:custom", receive);
  const leave = join(model, el);
  return () => {
    model.off("msg:custom", receive);
    leave();
  };
}

// anywidget's module of a class with `close()`.
export function moduleOf(View) {
  return {
    render({ model, el }) {
      const view = new View(model, el);
      return () => view.close();
    },
  };
}
