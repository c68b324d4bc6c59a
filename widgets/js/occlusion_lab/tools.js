// The row of controls above the pictures.

import { OWN } from "python";
import { button, checkbox, field, fill, make, progressBar, select } from "../shared/elements.js";

const named = (names) => names.map((name) => [name, name]);

const whose = ({ source }) => (source === null ? "" : source === OWN ? " drawn by you" : ` found by ${source}`);

// view: asked for changes (`ask`), to draw (`paint`), and for maps (`mapping`).
export class Tools {
  constructor({ colours, textures, outlines, grids }, view) {
    this.element = make("div", "wb-line ol-tools", undefined, { role: "toolbar", "aria-label": "Occluder" });
    this.object = select([], (value) => view.ask({ chosen: value === "" ? null : Number(value) }));
    this.drawing = false; // whether the next drag draws a region
    this.draw = button("Draw a region", () => this.setDrawing(!this.drawing));
    this.draw.title = "Then drag over the picture: a part of it becomes an object that can be chosen";
    const guessed = ["", "what it looks like"];
    this.className = select([guessed, ...named(Object.keys(colours))], () => view.nameRegion(), { "aria-label": "Class of the region" });
    this.texture = select(named(textures), (value) => view.ask({ texture: value }));
    this.outline = select(named(outlines), (value) => view.ask({ outline: value }));
    this.minScore = make("input", "", undefined, { type: "range", min: 0.05, max: 0.95, step: 0.05 });
    this.minScore.addEventListener("input", () => view.ask({ min_score: Number(this.minScore.value) }));
    this.minScoreText = make("output", "ol-number");
    this.truth = checkbox(true, () => view.paint());
    this.hatching = checkbox(true, () => view.paint());
    this.hatched = field(this.hatching, " hatch what is found to hide objects");
    this.hatched.title = "Where a detector with an occlusion branch finds that something hides what it detects";
    this.showHatching(false);
    this.asClass = field("as ", this.className);
    const outlined = field(this.truth, " outline objects");
    outlined.title = "Thin dashed boxes around the objects that can be chosen";
    this.element.append(
      field("Object ", this.object), this.draw, this.asClass, field("Texture ", this.texture), field("Shape ", this.outline),
      field("Draw detections from score ", this.minScore, this.minScoreText), outlined, this.hatched,
      this.mapTools(grids, view),
    );
  }

  mapTools(grids, view) {
    const group = make("span", "wb-line ol-map-tools");
    this.mapButton = button("Response map", () => view.mapping.toggle(), "ol-map-button");
    this.mapButton.title = "Score of the chosen object for the occluder at every position";
    this.grid = select(grids.map((name) => [name, `${name} grid`]), () => view.mapping.drop(), { "aria-label": "Grid of the response map" });
    this.grid.value = "medium";
    this.progress = progressBar("Response map");
    group.append(this.mapButton, field(this.grid), this.progress);
    return group;
  }

  showHatching(possible) {
    this.hatched.hidden = !possible;
  }

  setDrawing(on) {
    this.drawing = on;
    this.draw.setAttribute("aria-pressed", String(on));
    this.draw.textContent = on ? "Drag over the picture" : "Draw a region";
  }

  show(result, objects) {
    const choices = objects.map((thing, i) => [i, `${i + 1}: “${thing.name}”${whose(thing)}`]);
    fill(this.object, choices.length ? choices : [["", "none"]]);
    this.asClass.hidden = result.object?.source !== OWN;
    if (!this.asClass.hidden) this.className.value = result.object.name;
    this.object.value = result.chosen ?? "";
    this.texture.value = result.texture;
    this.outline.value = result.outline;
    this.minScore.value = result.min_score;
    this.minScoreText.textContent = result.min_score.toFixed(2);
  }

  showMap({ computing, drawn, possible }) {
    this.mapButton.textContent = computing ? "Stop" : drawn ? "Hide map" : "Response map";
    this.mapButton.disabled = !possible;
    this.progress.hidden = !computing;
  }
}
