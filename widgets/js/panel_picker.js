// A picture of several panels: click one to choose it. Boxes are xyxy, shares of the picture.

import { make } from "./shared/elements.js";

const percent = (share) => `${100 * share}%`;

export default {
  render({ model, el }) {
    const root = make("div", "panel-picker");
    const image = make("img", "widget-image wb-picture", undefined, { alt: "" });
    const panels = make("div", "", undefined, { role: "group", "aria-label": "Choose one" });
    root.append(image, panels);
    el.append(root);
    let address = null;

    function drawImage() {
      const bytes = model.get("value");
      if (address) URL.revokeObjectURL(address);
      address = bytes?.byteLength ? URL.createObjectURL(new Blob([bytes])) : null;
      if (address) image.src = address;
      root.hidden = address === null;
    }

    function choose(index) {
      model.set("chosen", index === model.get("chosen") ? null : index);
      model.save_changes();
    }

    function drawPanels() {
      panels.replaceChildren(...model.get("panels").map(({ box: [x1, y1, x2, y2], text }, index) => {
        const button = make("button", "pp-panel", undefined, { type: "button", title: text, "aria-label": text });
        Object.assign(button.style, { left: percent(x1), top: percent(y1), width: percent(x2 - x1), height: percent(y2 - y1) });
        button.addEventListener("click", () => choose(index));
        return button;
      }));
      mark();
    }

    function mark() {
      [...panels.children].forEach((button, index) => button.setAttribute("aria-pressed", String(index === model.get("chosen"))));
    }

    const listeners = { value: drawImage, panels: drawPanels, chosen: mark };
    for (const [name, listener] of Object.entries(listeners)) model.on(`change:${name}`, listener);
    drawImage();
    drawPanels();
    return () => {
      for (const [name, listener] of Object.entries(listeners)) model.off(`change:${name}`, listener);
      if (address) URL.revokeObjectURL(address);
    };
  },
};
