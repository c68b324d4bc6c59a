// What controls have in common: a description, a hint, and that they can be out of use.

import { make } from "../shared/elements.js";

export function identified(element) {
  element.id ||= `wb-${Math.random().toString(36).slice(2)}`;
  return element.id;
}

// Put a control, and what belongs to it, behind its description.
export function describe({ model, style, el, watch }, control, ...others) {
  const label = make("label", "wb-label", "", { for: identified(control) });
  const width = style?.get("description_width");
  label.style.width = width === "initial" ? "auto" : width ?? "";
  el.append(label, control, ...others);
  watch(["description"], () => {
    label.textContent = label.title = model.get("description");
    label.hidden = !label.textContent;
  });
  hint(model, el, watch);
  enable(model, control, watch);
}

export function hint(model, el, watch) {
  watch(["tooltip"], () => { el.title = model.get("tooltip") ?? ""; });
}

export function enable(model, control, watch) {
  watch(["disabled"], () => { control.disabled = Boolean(model.get("disabled")); });
}
