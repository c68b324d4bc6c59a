// Response maps: the score of the chosen object with the occluder centred at each place of a grid.

import { SCORES } from "python";
import { clamp } from "../shared/boxes.js";

// Red, green, blue and opacity, 0 to 255, of the share of a score that is left: only what hurts is coloured.
export const heat = (share) => SCORES[Math.round((SCORES.length - 1) * clamp(share, 0, 1))];

// For style sheets: shares from 0 to 1, from left to right.
export function gradient() {
  const stops = Array.from({ length: 17 }, (_, i) => heat(i / 16)).map(([r, g, b, a]) => `rgb(${r} ${g} ${b} / ${a / 255})`);
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

// The score of a cell; where it is not yet known, that of the coarser cell around it, or else NaN.
export function nearestKnown(values, rows, columns, row, column) {
  for (const step of [1, 2, 4]) {
    const [r, c] = [row, column].map((at) => at - (at % step) + (step >> 1));
    const value = r < rows && c < columns ? values[r * columns + c] : NaN;
    if (!Number.isNaN(value)) return value;
  }
  return NaN;
}

// The picture of a map; `before` is the score without the occluder, of which colours show how much is left.
function pictureOf(values, rows, columns, before) {
  const picture = new OffscreenCanvas(columns, rows);
  const pixels = new ImageData(columns, rows);
  for (let k = 0; k < values.length; k += 1) {
    const value = nearestKnown(values, rows, columns, Math.floor(k / columns), k % columns);
    pixels.data.set(Number.isNaN(value) ? [0, 0, 0, 0] : heat(value / Math.max(before, 1e-6)), 4 * k);
  }
  picture.getContext("2d").putImageData(pixels, 0, 0);
  return picture;
}

// The maps of all detectors for one object and one kind of occluder, which `key` says.
export class ResponseMaps {
  constructor({ key, names, rows, columns, stride, before }, buffers) {
    Object.assign(this, { key: JSON.stringify(key), rows, columns, stride });
    const copies = buffers.map((view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)));
    this.values = new Map(names.map((name, i) => [name, copies[i]]));
    this.before = new Map(names.map((name, i) => [name, before[i]]));
    this.pictures = new Map(names.map((name, i) => [name, pictureOf(copies[i], rows, columns, before[i])]));
  }

  has(name) {
    return this.pictures.has(name);
  }

  // The score at a point of the image, or NaN.
  at(name, [x, y]) {
    const [row, column] = [Math.floor(y / this.stride), Math.floor(x / this.stride)];
    const inside = row >= 0 && row < this.rows && column >= 0 && column < this.columns;
    return inside && this.has(name) ? this.values.get(name)[row * this.columns + column] : NaN;
  }

  paint(context, name, scale) {
    const [picture, side] = [this.pictures.get(name), this.stride * scale];
    context.save();
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, 0, 0, picture.width * side, picture.height * side);
    context.restore();
  }
}
