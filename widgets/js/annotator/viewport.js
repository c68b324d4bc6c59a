// Which part of a picture is seen: `scale` CSS pixels a pixel, and the point of the picture in the upper left corner.

import { clamp } from "../shared/boxes.js";

const MOST = 40; // CSS pixels a pixel
const SPARE = 0.5; // of the canvas may lie beside the picture

export class Viewport {
  constructor() {
    this.picture = [1, 1]; // width, height in pixels
    this.room = [1, 1]; // width, height in CSS pixels
    this.fit();
  }

  get whole() { // the scale at which all is seen
    return Math.min(this.room[0] / this.picture[0], this.room[1] / this.picture[1]);
  }

  fit() {
    this.scale = this.whole;
    this.corner = this.picture.map((side, i) => (side - this.room[i] / this.scale) / 2);
  }

  // Another size of the canvas; what was in the middle stays there.
  resize(room) {
    const fitted = Math.abs(this.scale / this.whole - 1) < 1e-6;
    const middle = this.toPicture(this.room.map((side) => side / 2));
    this.room = room;
    if (fitted) this.fit();
    else this.centre(middle);
  }

  centre(point) {
    this.corner = point.map((value, i) => value - this.room[i] / this.scale / 2);
    this.keep();
  }

  // place: CSS pixels in the canvas of what is not to move.
  zoom(factor, place) {
    const fixed = this.toPicture(place);
    this.scale = clamp(this.scale * factor, this.whole, Math.max(MOST, this.whole));
    if (this.scale === this.whole) this.fit();
    else this.corner = fixed.map((value, i) => value - place[i] / this.scale);
    this.keep();
  }

  pan(shift) { // CSS pixels
    this.corner = this.corner.map((value, i) => value - shift[i] / this.scale);
    this.keep();
  }

  keep() { // some of the picture in sight
    this.corner = this.corner.map((value, i) => {
      const seen = this.room[i] / this.scale;
      if (seen >= this.picture[i]) return (this.picture[i] - seen) / 2;
      return clamp(value, -SPARE * seen, this.picture[i] - (1 - SPARE) * seen);
    });
  }

  // Move as little as needed to have a point in sight.
  reveal(point) {
    const margin = 30 / this.scale;
    const moved = this.corner.map((value, i) => clamp(value, point[i] + margin - this.room[i] / this.scale, point[i] - margin));
    if (this.scale > this.whole) this.corner = moved;
    this.keep();
  }

  toPicture([x, y]) {
    return [this.corner[0] + x / this.scale, this.corner[1] + y / this.scale];
  }

  toCanvas([x, y]) {
    return [(x - this.corner[0]) * this.scale, (y - this.corner[1]) * this.scale];
  }

  inside([x, y]) {
    return [clamp(x, 0, this.picture[0]), clamp(y, 0, this.picture[1])];
  }
}
