// What every widget needs of the page around it: that keys stay in it, and a word when its kernel is gone.

import { make } from "./elements.js";

const GONE = "The kernel was restarted, so nothing answers here any more. Run this cell again.";

// Keys that JupyterLab may still have: those with Ctrl or Cmd, and Shift + Enter, which runs the cell.
export const isForPage = ({ ctrlKey, metaKey, shiftKey, key }) => ctrlKey || metaKey || (shiftKey && key === "Enter");

// JupyterLab takes keys before the focused element gets them, unless that very element says not to.
// `root` returns the element in which all keys are ours. Returns what undoes it.
function keepKeys(root) {
  const mark = (event) => {
    const { target } = event;
    if (target instanceof Element && root()?.contains(target)) target.toggleAttribute("data-lm-suppress-shortcuts", !isForPage(event));
  };
  window.addEventListener("keydown", mark, true);
  return () => window.removeEventListener("keydown", mark, true);
}

// Say on top of the root when the kernel of the widget `el` is gone. Returns what undoes it.
function watchKernel(model, el, root) {
  const notice = make("div", "wb-gone", GONE, { role: "alert" });
  const show = (gone) => {
    root()?.classList.toggle("wb-without-kernel", gone);
    if (gone) root()?.prepend(notice);
    else notice.remove();
  };
  const look = () => setTimeout(() => { // once ipywidgets has marked its boxes; elements of anywidget it does not mark
    const box = el.closest(".jupyter-widgets");
    show(box === null || box.classList.contains("jupyter-widgets-disconnected"));
  });
  const answers = () => show(false);
  model.on("comm_live_update", look);
  model.on("msg:custom", answers);
  return () => {
    model.off("comm_live_update", look);
    model.off("msg:custom", answers);
  };
}

// Join a widget to the page until the returned function is called.
export function join(model, el, root = () => el) {
  const ends = [keepKeys(root), watchKernel(model, el, root)];
  return () => ends.forEach((end) => end());
}
