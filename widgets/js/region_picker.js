// An image with the boxes of its objects: click one to choose it, or drag to draw a region of your own.
// Boxes are xyxy in pixels of the image, which are also the units of the drawing.

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 4; // pixels, side of a drawn box; a shorter drag is a click

function make(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

function place(rect, [x1, y1, x2, y2]) {
  const numbers = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
  for (const [key, value] of Object.entries(numbers)) rect.setAttribute(key, value);
}

function area([x1, y1, x2, y2]) {
  return (x2 - x1) * (y2 - y1);
}

export default {
  render({ model, el }) {
    const root = document.createElement("div");
    root.className = "region-picker";
    el.append(root);
    const svg = make("svg", { role: "group", "aria-label": "Image: choose an object or drag a region" }, root);
    const image = make("image", { x: 0, y: 0 }, svg);
    const objects = make("g", {}, svg);
    const region = make("rect", { class: "rp-region" }, svg);
    let address = null;
    let start = null;

    const size = () => [model.get("width"), model.get("height")];
    const choose = (index) => {
      model.set("chosen", index);
      model.save_changes();
    };

    function drawImage() {
      const [width, height] = size();
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
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
        const rect = make("rect", { class: "rp-object", tabindex: 0, role: "button" }, objects);
        rect.setAttribute("aria-pressed", chosen);
        rect.setAttribute("aria-label", text);
        place(rect, box);
        make("title", {}, rect).textContent = text;
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
      const edge = svg.getBoundingClientRect();
      const [width, height] = size();
      const x = ((event.clientX - edge.left) / edge.width) * width;
      const y = ((event.clientY - edge.top) / edge.height) * height;
      return [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
    }

    function spanned(event) {
      const [x, y] = pixel(event);
      const box = [Math.min(x, start[0]), Math.min(y, start[1]), Math.max(x, start[0]), Math.max(y, start[1])];
      return box.map((value) => Math.round(value * 10) / 10);
    }

    svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      start = pixel(event);
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      if (!start) return;
      region.style.display = "";
      place(region, spanned(event));
    });
    svg.addEventListener("pointerup", (event) => {
      if (!start) return;
      const box = spanned(event);
      const [x, y] = start;
      start = null;
      if (box[2] - box[0] >= LEAST && box[3] - box[1] >= LEAST) {
        model.set("drawn", box);
        model.save_changes();
        return;
      }
      drawRegion();
      const under = model
        .get("objects")
        .map((thing, index) => ({ box: thing.box, index }))
        .filter(({ box }) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3])
        .sort((a, b) => area(a.box) - area(b.box));
      if (under.length) choose(under[0].index);
    });
    svg.addEventListener("pointercancel", () => {
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
