// Masks as COCO's runs: lengths down the columns, first of background, then of the object, and so on.

// mask: Uint8Array, row by row, not 0 where the object is.
export function encodeRuns(mask, width, height) {
  const runs = [];
  let value = 0;
  let length = 0;
  for (let x = 0; x < width; x += 1) {
    for (let y = 0; y < height; y += 1) {
      const here = mask[y * width + x] ? 1 : 0;
      if (here !== value) {
        runs.push(length);
        value = here;
        length = 0;
      }
      length += 1;
    }
  }
  runs.push(length);
  return runs;
}

export function decodeRuns(runs, width, height) {
  const mask = new Uint8Array(width * height);
  let place = 0;
  runs.forEach((length, i) => {
    if (i % 2) {
      for (let at = place; at < place + length; at += 1) mask[(at % height) * width + Math.floor(at / height)] = 1;
    }
    place += length;
  });
  return mask;
}
