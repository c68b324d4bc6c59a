// Pictures on a canvas that is crisp on every screen. Boxes are xyxy in pixels of the image, times `scale` in CSS pixels.

export const HALO = "#00000080"; // below a coloured line, so that it is seen on any picture

const STRIPES = 8; // CSS pixels from stripe to stripe

export const bitmap = (bytes, type) => createImageBitmap(new Blob([bytes], { type }));

// Make room for a picture of `width` × `height` CSS pixels; returns the size in CSS pixels, which is a whole number of the screen's.
export function fit(canvas, width, height) {
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  const size = [canvas.width / density, canvas.height / density];
  canvas.style.width = `${size[0]}px`;
  canvas.style.height = `${size[1]}px`;
  return size;
}

// Draw a picture over all of a canvas of that size; returns the context, in CSS pixels.
export function paintPicture(canvas, picture, [width, height], scale) {
  const context = canvas.getContext("2d");
  const density = canvas.width / width;
  context.setTransform(density, 0, 0, density, 0, 0);
  context.imageSmoothingEnabled = scale < 2;
  context.drawImage(picture, 0, 0, width, height);
  return context;
}

export function strokeBox(context, box, scale, colour, width, dashes = []) {
  const [x1, y1, x2, y2] = box.map((value) => value * scale);
  context.setLineDash(dashes);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  context.setLineDash([]);
}

// Darken and hatch where a picture is not clear; it covers all of the canvas, of that size in CSS pixels.
export function paintHatched(context, picture, [width, height]) {
  const { canvas } = context;
  const layer = new OffscreenCanvas(canvas.width, canvas.height);
  const inside = layer.getContext("2d");
  inside.imageSmoothingEnabled = false;
  inside.drawImage(picture, 0, 0, layer.width, layer.height);
  inside.globalCompositeOperation = "source-in";
  inside.fillStyle = inside.createPattern(stripes(Math.round((STRIPES * canvas.width) / width)), "repeat");
  inside.fillRect(0, 0, layer.width, layer.height);
  context.drawImage(layer, 0, 0, width, height);
}

// White diagonal stripes on a dark veil, as a tile of so many pixels.
function stripes(side) {
  const tile = new OffscreenCanvas(side, side);
  const context = tile.getContext("2d");
  context.fillStyle = "#00000066";
  context.fillRect(0, 0, side, side);
  context.strokeStyle = "#ffffff";
  context.lineWidth = side / 6;
  for (const shift of [-side, 0, side]) { // the neighbours' ends reach into the corners
    context.moveTo(shift - side, 2 * side);
    context.lineTo(shift + 2 * side, -side);
  }
  context.stroke();
  return tile;
}
