// The response map of a lab: asked for, growing, drawn, stopped, and dropped when it belongs to another occluder.

import { ResponseMaps } from "./response_map.js";

export class Mapping {
  // view: its `model`, `result` and `tools`; `showMapTools` and `paint` are called after each change.
  constructor(view) {
    this.view = view;
    this.forget();
  }

  forget() {
    this.maps = this.asked = this.stopped = null; // asked, stopped: kinds of maps, as `kind` has them
    this.computing = false;
  }

  get kind() { // a map belongs to one object and one kind of occluder
    const { box, chosen, texture, outline } = this.view.result;
    return JSON.stringify([chosen, box[3] - box[1], box[2] - box[0], texture, outline]);
  }

  get fits() {
    return Boolean(this.maps && this.view.result) && this.kind === this.maps.key;
  }

  take(message, buffers) {
    const late = !this.computing && this.stopped === JSON.stringify(message.key); // on its way when it was stopped
    if (message.done < 1 && late) return;
    this.maps = new ResponseMaps(message, buffers);
    this.computing = message.done < 1;
    this.view.tools.progress.value = message.done;
    this.changed();
  }

  toggle() {
    if (this.computing || this.fits) {
      this.drop();
      return;
    }
    this.computing = true;
    this.asked = this.kind;
    this.view.tools.progress.value = 0;
    this.view.model.send({ kind: "map", grid: this.view.tools.grid.value });
    this.view.showMapTools();
  }

  // Another state has come: a map that is growing would not belong to it.
  follow() {
    if (this.computing && this.asked !== this.kind) this.drop();
  }

  failed() {
    this.computing = false;
    this.view.showMapTools();
  }

  drop() {
    if (this.computing) {
      this.stopped = this.asked;
      this.view.model.send({ kind: "stop-map" });
    }
    this.computing = false;
    this.maps = null;
    this.changed();
  }

  changed() {
    this.view.showMapTools();
    this.view.paint();
  }
}
