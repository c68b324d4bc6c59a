// An image with the boxes of its objects: click one to choose it, or drag to draw a region of your own.
// Boxes are xyxy in pixels of the image, which are also the units of the drawing.

import { CHOSEN, SKY } from "python";
import { area, clamp, smallestAt } from "./shared/boxes.js";
import { make, svg } from "./shared/elements.js";

const LEAST = 4; // pixels, side of a drawn box; a shorter drag is a click

function place(rect, [x1, y1, x2, y2]) {
  const numbers = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
  for (const [key, value] of Object.entries(numbers)) rect.setAttribute(key, value);
}

export default {
  render({ model, el }) {
    const root = make("div", "region-picker", undefined, { style: `--rp-chosen: ${CHOSEN}; --rp-pointed: ${SKY}` });
    el.append(root);
    const drawing = svg("svg", { role: "group", "aria-label": "Image: choose an object or drag a region" }, root);
    const image = svg("image", { x: 0, y: 0 }, drawing);
    const objects = svg("g", {}, drawing);
    const region = svg("rect", { class: "rp-region" }, drawing);
    let address = null;
    let start = null;

    const size = () => [model.get("width"), model.get("height")];
    const choose = (index) => {
      model.set("chosen", index);
      model.save_changes();
    };

    function drawImage() {
      const [width, height] = size();
      drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
      if (address) URL.revokeObjectURL(address);
      address = URL.createObjectURL(new Blob([model.get("picture")]));
      image.setAttribute("href", address);
      image.setAttribute("width", width);
      image.setAttribute("height", height);
      image.style.imageRendering = Math.max(width, height) <= 256 ? "pixelated" : "auto";
    }

    function drawObjects() {
      objects.replaceChildren();
      const listed = model.get("objects").map((thing, index) => ({ ...thing, index }));
      listed.sort((a, b) => area(b.box) - area(a.box)); // small ones on top, so that all can be clicked
      for (const { box, text, index } of listed) {
        const chosen = index === model.get("chosen");
        const rect = svg("rect", { class: "rp-object", tabindex: 0, role: "button" }, objects);
        rect.setAttribute("aria-pressed", chosen);
        rect.setAttribute("aria-label", text);
        place(rect, box);
        svg("title", {}, rect).textContent = text;
        rect.addEventListener("keydown", (event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          event.stopPropagation(); // JupyterLab has a meaning for it, too
          choose(index);
          objects.querySelector(`[aria-pressed="true"]`)?.focus();
        });
      }
    }

    function drawRegion() {
      const box = model.get("box");
      region.style.display = box.length === 4 ? "" : "none";
      if (box.length === 4) place(region, box);
    }

    function pixel(event) {
      const edge = drawing.getBoundingClientRect();
      const [width, height] = size();
      const x = ((event.clientX - edge.left) / edge.width) * width;
      const y = ((event.clientY - edge.top) / edge.height) * height;
      return [clamp(x, 0, width), clamp(y, 0, height)];
    }

    function spanned(event) {
      const [x, y] = pixel(event);
      const box = [Math.min(x, start[0]), Math.min(y, start[1]), Math.max(x, start[0]), Math.max(y, start[1])];
      return box.map((value) => Math.round(value * 10) / 10);
    }

    drawing.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      start = pixel(event);
      drawing.setPointerCapture(event.pointerId);
    });
    drawing.addEventListener("pointermove", (event) => {
      if (!start) return;
      region.style.display = "";
      place(region, spanned(event));
    });
    drawing.addEventListener("pointerup", (event) => {
      if (!start) return;
      const box = spanned(event);
      const from = start;
      start = null;
      if (box[2] - box[0] >= LEAST && box[3] - box[1] >= LEAST) {
        model.set("drawn", box);
        model.save_changes();
        return;
      }
      drawRegion();
      const under = smallestAt(model.get("objects").map((thing) => thing.box), from);
      if (under !== null) choose(under);
    });
    drawing.addEventListener("pointercancel", () => {
      start = null;
      drawRegion();
    });

    const listeners = { picture: drawImage, objects: drawObjects, chosen: drawObjects, box: drawRegion };
    for (const [name, listener] of Object.entries(listeners)) model.on(`change:${name}`, listener);
    drawImage();
    drawObjects();
    drawRegion();
    return () => {
      for (const [name, listener] of Object.entries(listeners)) model.off(`change:${name}`, listener);
      if (address) URL.revokeObjectURL(address);
    };
  },
};
