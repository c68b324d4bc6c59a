// Boxes are xyxy, points are xy, both in pixels of the image.

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);

export const contains = ([x1, y1, x2, y2], [x, y]) => x >= x1 && x <= x2 && y >= y1 && y <= y2;

// Position of the smallest box around a point, so that all can be clicked; null if there is none.
export function smallestAt(boxes, point) {
  const hits = [...boxes.keys()].filter((i) => contains(boxes[i], point));
  return hits.sort((a, b) => area(boxes[a]) - area(boxes[b]))[0] ?? null;
}
