// What every view of messages does first and last.

// Dress the element, and receive what Python sends until the returned function is called.
export function connect(model, el, className, receive) {
  el.classList.add("wb-panel", className);
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab's one-letter shortcuts stay out of our keys
  model.on("msg:custom", receive);
  return () => model.off("msg:custom", receive);
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
