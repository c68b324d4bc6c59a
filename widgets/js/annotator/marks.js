// How outlines, crosses and icons look on a canvas; rings are of points in pixels of the picture.

import { BRIGHT } from "python";
import { HALO } from "../shared/canvas.js";
import { decodeRuns } from "./runs.js";
import { toPoints } from "./outline.js";

export const colourOf = (names, name) => BRIGHT[Math.max(0, names.indexOf(name)) % BRIGHT.length];

// Two letters that stand for a category.
export function shortOf(name) {
  const words = name.split(/[\s_-]+/).filter(Boolean);
  const letters = words.length > 1 ? words[0][0] + words[1][0] : name.slice(0, 2);
  return letters.toUpperCase();
}

export function trace(context, view, rings, closed = true) {
  context.beginPath();
  for (const points of rings) {
    points.forEach((point, i) => (i ? context.lineTo(...view.toCanvas(point)) : context.moveTo(...view.toCanvas(point))));
    if (closed) context.closePath();
  }
}

export function strokeRings(context, view, rings, colour, { width = 2, dashes = [], fill = null, closed = true } = {}) {
  trace(context, view, rings, closed);
  if (fill) {
    context.fillStyle = fill;
    context.fill("evenodd");
  }
  context.setLineDash(dashes);
  context.lineJoin = "round";
  for (const [ink, thick] of [[HALO, width + 2], [colour, width]]) {
    context.strokeStyle = ink;
    context.lineWidth = thick;
    context.stroke();
  }
  context.setLineDash([]);
}

export function paintPoint(context, view, point, colour, large) {
  const [x, y] = view.toCanvas(point);
  const side = large ? 9 : 7;
  context.fillStyle = "#000";
  context.fillRect(x - side / 2 - 1, y - side / 2 - 1, side + 2, side + 2);
  context.fillStyle = colour;
  context.fillRect(x - side / 2, y - side / 2, side, side);
}

export function paintCross(context, view, point, colour, size = 9) {
  const [x, y] = view.toCanvas(point);
  for (const [ink, thick] of [["#000", 6], [colour, 3]]) {
    context.strokeStyle = ink;
    context.lineWidth = thick;
    context.beginPath();
    context.moveTo(x - size, y - size);
    context.lineTo(x + size, y + size);
    context.moveTo(x - size, y + size);
    context.lineTo(x + size, y - size);
    context.stroke();
  }
}

export function paintIcon(context, view, point, name, colour, { faint = false, radius = 14 } = {}) {
  const [x, y] = view.toCanvas(point);
  context.globalAlpha = faint ? 0.55 : 1;
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fillStyle = colour;
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = "#000";
  context.stroke();
  context.fillStyle = "#000";
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(shortOf(name), x, y + 1);
  context.textAlign = "start";
  context.textBaseline = "alphabetic";
  context.globalAlpha = 1;
}

export function paintName(context, view, point, text, colour) {
  const [x, y] = view.toCanvas(point);
  context.font = "600 12px system-ui, sans-serif";
  const width = context.measureText(text).width + 8;
  context.fillStyle = colour;
  context.fillRect(x, y - 16, width, 16);
  context.fillStyle = "#000";
  context.fillText(text, x + 4, y - 4);
}

// A picture of pixels in one colour, of runs or of a mask.
export function tinted(mask, width, height, colour, alpha = 130) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  for (let i = 0; i < mask.length; i += 1) if (mask[i]) image.data.set([r, g, b, alpha], 4 * i);
  context.putImageData(image, 0, 0);
  return canvas;
}

export function paintLayer(context, view, layer, [width, height]) {
  const [x, y] = view.toCanvas([0, 0]);
  context.imageSmoothingEnabled = false;
  context.drawImage(layer, x, y, width * view.scale, height * view.scale);
}

// The objects of a picture, made ready for painting and for being pointed at.
export function prepared(objects, names, [width, height]) {
  return objects.map((one) => {
    const colour = colourOf(names, one.category);
    const box = one.box && [[one.box[0], one.box[1]], [one.box[2], one.box[1]], [one.box[2], one.box[3]], [one.box[0], one.box[3]]];
    const rings = one.rings ? one.rings.map(toPoints) : box ? [box] : [];
    const mask = one.runs ? decodeRuns(one.runs, width, height) : null;
    const layer = mask && tinted(mask, width, height, colour, one.crowd ? 110 : 90);
    const whole = (one.amodal ?? []).map(toPoints);
    return { ...one, colour, points: rings, mask, layer, whole };
  });
}

export function paintObject(context, view, one, size, strong) {
  if (one.layer) paintLayer(context, view, one.layer, size);
  if (one.whole.length) strokeRings(context, view, one.whole, one.colour, { width: 1, dashes: [4, 4] });
  if (one.points.length) strokeRings(context, view, one.points, one.colour, { width: strong ? 2.5 : 1.5, fill: `${one.colour}${strong ? "50" : "28"}` });
}
