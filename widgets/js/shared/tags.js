// Where the names of boxes go, so that they neither cover each other nor leave the picture, and how they look.
// The same rules as workbench/figures/drawing/tags.py; where all ten places at a box are taken, above and below it.

const TAG_HEIGHT = 16; // CSS pixels
const TAG_FONT = "600 12px system-ui, sans-serif";

// taken: boxes that tags shall not cover either.
export function tagPlaces(boxes, widths, width, height, taken = []) {
  const placed = [];
  const overlap = ([x, y, w], [x1, y1, x2, y2]) => Math.max(0, Math.min(x + w, x2) - Math.max(x, x1))
    * Math.max(0, Math.min(y + TAG_HEIGHT, y2) - Math.max(y, y1));
  const tag = ([x, y, w]) => [x, y, x + w, y + TAG_HEIGHT];
  const covered = (place) => [...placed.map(tag), ...taken].reduce((sum, box) => sum + overlap(place, box), 0);
  boxes.forEach(([x1, y1, x2, y2], i) => {
    const w = widths[i];
    const inside = ([x, y]) => [Math.max(0, Math.min(x, width - w)), Math.max(0, Math.min(y, height - TAG_HEIGHT)), w];
    const around = [[x1, y1 - TAG_HEIGHT], [x2 - w, y1 - TAG_HEIGHT], [x1, y2], [x2 - w, y2], [x1, y1], [x2 - w, y2 - TAG_HEIGHT],
      [x2, y1], [x1 - w, y1], [x2, y2 - TAG_HEIGHT], [x1 - w, y2 - TAG_HEIGHT]].map(inside);
    const step = TAG_HEIGHT / 2;
    for (let shift = step; shift <= height; shift += step) around.push(inside([x1, y1 - shift]), inside([x1, y2 + shift]));
    const costs = around.map(covered);
    placed.push(around[costs.indexOf(Math.min(...costs))]); // the first of the best
  });
  return placed;
}

// tags: [{ box (xyxy in CSS pixels), text, colour }], the first ones get the best places.
export function paintTags(context, tags, width, height, taken = []) {
  context.font = TAG_FONT;
  const widths = tags.map(({ text }) => context.measureText(text).width + 8);
  const places = tagPlaces(tags.map(({ box }) => box), widths, width, height, taken);
  [...tags.keys()].reverse().forEach((i) => {
    const [x, y, w] = places[i];
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(tags[i].colour.slice(at, at + 2), 16));
    context.fillStyle = tags[i].colour;
    context.fillRect(x, y, w, TAG_HEIGHT);
    context.fillStyle = 0.3 * r + 0.59 * g + 0.11 * b > 140 ? "#000" : "#fff";
    context.fillText(tags[i].text, x + 4, y + 12);
  });
}
