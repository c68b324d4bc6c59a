// What is painted on a panel's picture: the scene, its map, detections, objects and the occluder.

import { CHOSEN } from "python";
import { HALO, paintHatched, paintPicture, strokeBox } from "../shared/canvas.js";
import { paintTags } from "../shared/tags.js";
import { outlinePath, paintOccluder, withHandles } from "./occluder.js";

// view: its `scale`, `clean` and `frame` (pictures without and with the occluder of `result`), `mapping`, `explaining`, `result`,
// `layers` (detector → what it finds to hide objects), `objects`, `thing`, `box` (where the occluder is now), `drawn` (a
// region while it is drawn) and `setup`.
// truth, hatching: checkboxes, whether all objects are outlined and what hides objects is hatched.
export function paintScene({ name, canvas, size }, view, { truth, hatching }) {
  const { scale, result, setup } = view;
  const explained = view.explaining.picture(name);
  const mapped = !explained && view.mapping.fits && view.mapping.maps.has(name);
  const context = paintPicture(canvas, explained ?? (mapped ? view.clean : view.frame), size, scale);
  if (mapped) paintMap(context, name, view, size);
  if (hatching.checked && view.layers.has(name)) paintHatched(context, view.layers.get(name), size);
  if (truth.checked) for (const thing of view.objects) strokeBox(context, thing.box, scale, "#ffffffcc", 1, [3, 3]);
  const found = result.detectors[name];
  const shown = [...found.scores.keys()].filter((i) => found.scores[i] >= result.min_score);
  for (const i of shown) {
    strokeBox(context, found.boxes[i], scale, HALO, 4);
    strokeBox(context, found.boxes[i], scale, setup.colours[found.names[i]], 2);
  }
  if (view.thing) paintChosen(context, view.thing.box, scale, 3); // clear of the detection
  paintOccluder(context, view.box, result.outline, scale, setup);
  const tags = shown.map((i) => ({
    box: found.boxes[i].map((value) => value * scale), colour: setup.colours[found.names[i]],
    text: `${found.names[i]} ${found.scores[i].toFixed(2)}`,
  }));
  paintTags(context, tags, ...size, [withHandles(view.box, scale)]);
  if (view.drawn) paintChosen(context, view.drawn, scale, 0);
}

// The map over the scene; the occluder lies on top, since detections and scores are those with it.
function paintMap(context, name, { mapping, frame, result, scale }, [width, height]) {
  mapping.maps.paint(context, name, scale);
  context.save();
  outlinePath(context, result.box, result.outline, scale);
  context.clip();
  context.drawImage(frame, 0, 0, width, height);
  context.restore();
}

// margin: CSS pixels around the box.
function paintChosen(context, box, scale, margin) {
  const around = box.map((value, i) => value + (i < 2 ? -margin : margin) / scale);
  strokeBox(context, around, scale, "#000000b0", 4.5);
  strokeBox(context, around, scale, CHOSEN, 2.5, [7, 4]);
}
