// The occluder: its handles, how it moves and grows within the picture, and how it is drawn.

import { clamp } from "../shared/boxes.js";

const HANDLES = [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 1], [0, 0.5]];
const CURSORS = ["nwse", "ns", "nesw", "ew", "nwse", "ns", "nesw", "ew"];
const OUT = 8; // CSS pixels from the occluder's edge to the middle of a handle, so that handles cover no pixel of it
const REACH = 8; // CSS pixels around a handle that still grab it
const ROOMY = 44; // CSS pixels, side of an occluder that has room for handles between its corners

// Middles of the handles in CSS pixels: outside the occluder, but inside the picture; null where they would crowd.
export function handles(box, scale, { width, height }) {
  const [x1, y1, x2, y2] = box.map((value) => value * scale);
  return HANDLES.map(([u, v]) => {
    if ((u === 0.5 && x2 - x1 < ROOMY) || (v === 0.5 && y2 - y1 < ROOMY)) return null;
    const x = x1 + u * (x2 - x1) + (2 * u - 1) * OUT;
    const y = y1 + v * (y2 - y1) + (2 * v - 1) * OUT;
    return [clamp(x, 6, width * scale - 6), clamp(y, 6, height * scale - 6)];
  });
}

// The number of the handle at a point of the image, or -1.
export function handleAt(point, box, scale, setup) {
  const [x, y] = point.map((value) => value * scale);
  const distances = handles(box, scale, setup).map((at) => (at === null ? Infinity : Math.max(Math.abs(at[0] - x), Math.abs(at[1] - y))));
  const nearest = distances.indexOf(Math.min(...distances));
  return distances[nearest] <= REACH ? nearest : -1;
}

export const cursorOf = (handle) => `${CURSORS[handle]}-resize`;

// The box after a handle was dragged by [dx, dy] pixels of the image; it never leaves it, nor gets too small.
export function resized([x1, y1, x2, y2], handle, [dx, dy], { smallest, width, height }) {
  const [u, v] = HANDLES[handle];
  return [
    u === 0 ? clamp(x1 + dx, 0, x2 - smallest) : x1, v === 0 ? clamp(y1 + dy, 0, y2 - smallest) : y1,
    u === 1 ? clamp(x2 + dx, x1 + smallest, width) : x2, v === 1 ? clamp(y2 + dy, y1 + smallest, height) : y2,
  ];
}

// The box in whole pixels, moved back where it would leave the image.
export function placed(box, { width, height }) {
  const [w, h] = [Math.round(Math.min(width, box[2] - box[0])), Math.round(Math.min(height, box[3] - box[1]))];
  const x = Math.round(clamp(box[0], 0, width - w));
  const y = Math.round(clamp(box[1], 0, height - h));
  return [x, y, x + w, y + h];
}

export const moved = ([x1, y1, x2, y2], [dx, dy]) => [x1 + dx, y1 + dy, x2 + dx, y2 + dy];

// The box in CSS pixels, with the handles around it.
export const withHandles = (box, scale) => box.map((value, i) => value * scale + (i < 2 ? -1 : 1) * (OUT + 6));

// Begin the path of its outline.
export function outlinePath(context, box, outline, scale) {
  const [x1, y1, x2, y2] = box.map((value) => value * scale);
  context.beginPath();
  if (outline === "ellipse") context.ellipse((x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2, 0, 0, 7);
  else context.rect(x1, y1, x2 - x1, y2 - y1);
}

export function paintOccluder(context, box, outline, scale, setup) {
  for (const [colour, width] of [["#000000c0", 5], ["#ffffff", 2.5]]) { // a grey texture is not seen on a grey scene
    outlinePath(context, box, outline, scale);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }
  for (const at of handles(box, scale, setup)) {
    if (at === null) continue;
    context.fillStyle = "#000";
    context.fillRect(at[0] - 5.5, at[1] - 5.5, 11, 11);
    context.fillStyle = "#fff";
    context.fillRect(at[0] - 4, at[1] - 4, 8, 8);
  }
}
