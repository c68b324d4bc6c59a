// Numbers as sliders say them, by the few formats of Python that sliders have: "d", ".2f", ".3g", ".1e" and ".0%".

export function formatted(value, format) {
  const [, places, kind] = /^(?:\.(\d+))?([defg%])$/.exec(format) ?? [];
  const digits = Number(places ?? 6);
  if (kind === "f") return value.toFixed(digits);
  if (kind === "%") return `${(100 * value).toFixed(digits)}%`;
  if (kind === "e") return value.toExponential(digits);
  if (kind === "g") return value.toPrecision(digits || 1);
  return String(value);
}
