// An outline that is being drawn: rings of points [x, y] in pixels, the visible ones and, as an option, the whole object's.

export const LAYERS = ["visible", "whole"];

const distance = ([x1, y1], [x2, y2]) => Math.hypot(x1 - x2, y1 - y2);

// The nearest point to `p` on the line from `a` to `b`.
function onLine(p, a, b) {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const length = dx * dx + dy * dy;
  const t = length ? Math.max(0, Math.min(1, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / length)) : 0;
  return [a[0] + t * dx, a[1] + t * dy];
}

// [x1, y1, x2, y2, ...] ↔ [[x1, y1], [x2, y2], ...]
export const toPoints = (ring) => Array.from({ length: ring.length / 2 }, (_, i) => [ring[2 * i], ring[2 * i + 1]]);
export const toFlat = (points) => points.flatMap((point) => point.map((value) => Math.round(100 * value) / 100));

export function areaOf(points) {
  let twice = 0;
  points.forEach(([x, y], i) => {
    const [nextX, nextY] = points[(i + 1) % points.length];
    twice += x * nextY - nextX * y;
  });
  return Math.abs(twice) / 2;
}

// Whether a point lies in rings, by the even-odd rule.
export function within(rings, [px, py]) {
  let inside = false;
  for (const points of rings) {
    points.forEach(([x1, y1], i) => {
      const [x2, y2] = points[(i + 1) % points.length];
      if ((y1 > py) !== (y2 > py) && px < ((x2 - x1) * (py - y1)) / (y2 - y1) + x1) inside = !inside;
    });
  }
  return inside;
}

export class Outline {
  // about: what else is known of it, such as the annotation that is edited.
  constructor(about = {}) {
    this.about = about;
    this.layers = { visible: [], whole: [] };
    this.layer = "visible";
    this.open = false; // whether the last ring of the layer is still being drawn
  }

  static from(rings, whole, about = {}) {
    const outline = new Outline(about);
    outline.layers.visible = rings.map(toPoints);
    outline.layers.whole = (whole ?? []).map(toPoints);
    return outline;
  }

  get rings() {
    return this.layers[this.layer];
  }

  get empty() {
    return LAYERS.every((layer) => this.layers[layer].length === 0);
  }

  // Whether it can be saved: the visible rings have an area.
  get complete() {
    const good = (rings) => rings.every((points) => points.length >= 3 && areaOf(points) > 0);
    return this.layers.visible.length > 0 && LAYERS.every((layer) => good(this.layers[layer]));
  }

  get count() { // of points
    return LAYERS.reduce((sum, layer) => sum + this.layers[layer].reduce((all, ring) => all + ring.length, 0), 0);
  }

  add(point) {
    if (!this.open) this.rings.push([]);
    this.open = true;
    this.rings.at(-1).push(point);
  }

  close() {
    if (this.open && this.rings.at(-1).length < 3) this.rings.pop();
    this.open = false;
  }

  // Draw the other layer from now on; the whole object begins as what is seen of it.
  turn(layer) {
    this.close();
    this.layer = layer;
    if (layer === "whole" && this.layers.whole.length === 0) {
      this.layers.whole = this.layers.visible.map((ring) => ring.map((point) => [...point]));
    }
  }

  // The point at a place, as { ring, at }, or null; `reach` in pixels.
  pointAt(place, reach) {
    let found = null;
    let best = reach;
    this.rings.forEach((points, ring) => points.forEach((point, at) => {
      if (distance(point, place) <= best) {
        best = distance(point, place);
        found = { ring, at };
      }
    }));
    return found;
  }

  // The side of a ring at a place, as { ring, at (the point before it), point }, or null.
  sideAt(place, reach) {
    let found = null;
    let best = reach;
    this.rings.forEach((points, ring) => points.forEach((point, at) => {
      if (at === points.length - 1 && this.open && ring === this.rings.length - 1) return; // no side yet
      const near = onLine(place, point, points[(at + 1) % points.length]);
      if (distance(near, place) <= best) {
        best = distance(near, place);
        found = { ring, at, point: near };
      }
    }));
    return found;
  }

  move({ ring, at }, point) {
    this.rings[ring][at] = point;
  }

  // A new point on a side; where it is.
  insert({ ring, at, point }) {
    this.rings[ring].splice(at + 1, 0, point);
    return { ring, at: at + 1 };
  }

  // A ring of fewer than three points goes away, unless it is being drawn.
  remove({ ring, at }) {
    this.rings[ring].splice(at, 1);
    const drawn = this.open && ring === this.rings.length - 1;
    if (this.rings[ring].length < (drawn ? 1 : 3)) {
      this.rings.splice(ring, 1);
      if (drawn) this.open = false;
    }
  }

  removeLast() {
    const ring = this.rings.length - 1;
    if (ring < 0) return;
    this.open = true;
    this.remove({ ring, at: this.rings[ring].length - 1 });
  }

  // As Python takes it: rings, and those of the whole object or null.
  get shape() {
    const whole = this.layers.whole.map(toFlat);
    return { rings: this.layers.visible.map(toFlat), amodal: whole.length ? whole : null };
  }

  // To be kept while the page is loaded anew, and back.
  get kept() {
    return { layers: this.layers, layer: this.layer, open: this.open, about: this.about };
  }

  static again({ layers, layer, open, about }) {
    const outline = new Outline(about);
    return Object.assign(outline, { layers, layer, open });
  }
}
