// Boxes: what lies in them, below each other, beside each other, or behind titles.

import { make } from "../shared/elements.js";
import { identified } from "./labels.js";

function drawBox({ el, watch, show, parts, atEnd }) {
  const shown = new Map();
  watch(["children"], () => {
    const ids = keep(shown, parts(), show);
    el.append(...ids.map((id) => shown.get(id).el));
  });
  atEnd(() => shown.forEach(({ end }) => end()));
}

function drawAccordion({ model, el, watch, tell, show, parts, atEnd }) {
  const shown = new Map();
  const isOpen = (place) => model.get("selected_index") === place;

  function fold() {
    [...el.children].forEach(({ firstChild, lastChild }, place) => {
      firstChild.setAttribute("aria-expanded", isOpen(place));
      lastChild.hidden = !isOpen(place);
    });
  }

  watch(["children", "titles"], () => {
    el.replaceChildren(...keep(shown, parts(), show).map((id, place) => {
      const whole = make("div");
      const title = make("button", "wb-title", model.get("titles")[place] ?? "", { type: "button" });
      title.addEventListener("click", () => tell("selected_index", isOpen(place) ? null : place));
      const content = make("div", "wb-content", undefined, { role: "region", "aria-labelledby": identified(title) });
      content.append(shown.get(id).el);
      whole.append(title, content);
      return whole;
    }));
    fold();
  });
  watch(["selected_index"], fold);
  atEnd(() => shown.forEach(({ end }) => end()));
}

// Show parts that are new, take away those that have gone; returns the ids in their order.
function keep(shown, parts, show) {
  const ids = parts.map(([id]) => id);
  for (const [id, { end }] of shown) {
    if (ids.includes(id)) continue;
    end();
    shown.delete(id);
  }
  for (const [id, part] of parts) if (!shown.has(id)) shown.set(id, show(part));
  return ids;
}

export const BOXES = {
  AccordionView: { className: "wb-accordion", draw: drawAccordion },
  BoxView: { className: "wb-box", draw: drawBox },
  HBoxView: { className: "wb-box", draw: drawBox },
  VBoxView: { className: "wb-box wb-column", draw: drawBox },
};
