// The menu by which what a widget shows is saved as a file: Python makes it, and the browser keeps it like any other.

import { make } from "./elements.js";
import { isForPage } from "./page.js";

const KINDS = [["png", "PNG picture"], ["svg", "SVG drawing"], ["pdf", "PDF drawing"]];
const HINT = "The file also holds what is set here: load_view(path) sets a widget like this one again.";

// An element to put into the page of the widget that the model is of.
export function saveMenu(model) {
  const whole = make("div", "wb-save");
  const menu = make("details");
  const summary = make("summary", "", "Save this view", { title: HINT });
  const choices = make("div", "wb-save-choices", undefined, { role: "group", "aria-label": "Save this view as" });
  const note = make("span", "wb-save-note", "", { role: "status" });
  for (const [suffix, text] of KINDS) {
    const button = make("button", "wb-save-kind", text, { type: "button" });
    button.addEventListener("click", () => ask(suffix));
    choices.append(button);
  }
  menu.append(summary, choices);
  whole.append(menu, note);
  menu.addEventListener("toggle", () => { if (menu.open) note.textContent = ""; });
  menu.addEventListener("keydown", (event) => {
    if (!isForPage(event)) event.stopPropagation(); // what a key does in the widget, it does not do in its menu
    if (event.key === "Escape" && menu.open) close();
  });

  function close() {
    menu.open = false;
    summary.focus({ preventScroll: true });
  }

  function ask(suffix) {
    const turn = Math.random().toString(36).slice(2);
    const take = (message, buffers) => {
      if (message.kind !== "saved-view" || message.turn !== turn) return; // of another view of this widget
      model.off("msg:custom", take);
      note.textContent = message.text ?? `saved as ${message.name}`;
      if (message.text === undefined) download(whole, message, buffers[0]);
    };
    close();
    try {
      model.send({ kind: "save-view", suffix, turn });
      model.on("msg:custom", take);
      note.textContent = "drawing …";
    } catch {
      note.textContent = "Nothing answers here any more. Run this cell again.";
    }
  }
  return whole;
}

// Within the page's element, as hosts that show widgets in a frame look for such clicks themselves.
function download(element, { name, type }, bytes) {
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  const link = make("a", "", "", { href: url, download: name, hidden: "" });
  element.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
