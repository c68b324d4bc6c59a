// Controls of ipywidgets as elements of HTML: by name of their view.

import { button, fill, make } from "../shared/elements.js";
import { describe, enable, hint, identified } from "./labels.js";
import { formatted } from "./readout.js";

function drawDropdown(context) {
  const { model, watch, tell } = context;
  const select = make("select");
  select.addEventListener("change", () => tell("index", select.selectedIndex));
  describe(context, select);
  watch(["_options_labels", "index"], () => {
    fill(select, model.get("_options_labels").map((text, place) => [place, text]));
    select.selectedIndex = model.get("index") ?? -1;
  });
}

// A slider: `place` gives where it stands, `said` what it says, and `meant` what Python gets for a place.
function drawSlider(context, ends, watched, { name, place, said, meant }) {
  const { model, watch, tell } = context;
  const input = make("input", "", undefined, { type: "range" });
  const output = make("output", "wb-readout", "", { for: identified(input) });
  const change = () => {
    say(said(meant(Number(input.value))));
    tell(name, meant(Number(input.value)));
  };
  const say = (text) => {
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  input.addEventListener("input", () => { if (model.get("continuous_update")) change(); });
  input.addEventListener("change", () => { if (!model.get("continuous_update")) change(); });
  describe(context, input, output);
  watch(watched, () => {
    Object.assign(input, ends());
    input.value = place();
    say(said(model.get(name)));
  });
  watch(["readout"], () => { output.hidden = !model.get("readout"); });
}

function drawNumberSlider(context) {
  const { model } = context;
  const ends = () => ({ min: model.get("min"), max: model.get("max"), step: model.get("step") ?? "any" });
  const said = (value) => formatted(value, model.get("readout_format"));
  const watched = ["min", "max", "step", "value"];
  drawSlider(context, ends, watched, { name: "value", place: () => model.get("value"), said, meant: (value) => value });
}

function drawLogSlider(context) {
  const { model } = context;
  const base = () => model.get("base");
  const ends = () => ({ min: model.get("min"), max: model.get("max"), step: model.get("step") ?? "any" });
  const said = (value) => formatted(value, model.get("readout_format"));
  const place = () => Math.log(model.get("value")) / Math.log(base());
  const watched = ["min", "max", "step", "base", "value"];
  drawSlider(context, ends, watched, { name: "value", place, said, meant: (value) => base() ** value });
}

function drawSelectionSlider(context) {
  const { model } = context;
  const ends = () => ({ min: 0, max: Math.max(0, model.get("_options_labels").length - 1), step: 1 });
  const said = (index) => model.get("_options_labels")[index] ?? "";
  const place = () => model.get("index") ?? 0;
  drawSlider(context, ends, ["_options_labels", "index"], { name: "index", place, said, meant: (index) => index });
}

function drawToggleButtons(context) {
  const { model, style, watch, tell } = context;
  const group = make("div", "wb-toggles", undefined, { role: "group" });
  describe(context, group);
  watch(["description"], () => group.setAttribute("aria-label", model.get("description")));
  watch(["_options_labels", "tooltips"], () => {
    group.replaceChildren(...model.get("_options_labels").map((text, place) => {
      const one = button(text, () => tell("index", place));
      one.title = model.get("tooltips")?.[place] ?? "";
      one.style.width = style?.get("button_width") ?? "";
      return one;
    }));
  });
  watch(["_options_labels", "index", "disabled"], () => [...group.children].forEach((one, place) => {
    one.setAttribute("aria-pressed", String(place === model.get("index")));
    one.disabled = Boolean(model.get("disabled"));
  }));
}

function drawCheckbox({ model, el, watch, tell }) {
  const input = make("input", "", undefined, { type: "checkbox" });
  const label = make("label", "wb-field");
  const text = make("span");
  label.append(input, text);
  el.append(label);
  input.addEventListener("change", () => tell("value", input.checked));
  watch(["value"], () => { input.checked = model.get("value"); });
  watch(["description"], () => { text.textContent = model.get("description"); });
  watch(["indent"], () => el.classList.toggle("wb-indented", Boolean(model.get("indent"))));
  hint(model, el, watch);
  enable(model, input, watch);
}

function drawButton({ model, el, watch, send }) {
  el.type = "button";
  el.addEventListener("click", () => send({ event: "click" }));
  watch(["description"], () => { el.textContent = model.get("description"); });
  hint(model, el, watch);
  enable(model, el, watch);
}

function drawNumber(context) {
  const { model, watch, tell } = context;
  const input = make("input", "", undefined, { type: "number" });
  input.addEventListener("change", () => {
    if (input.value === "" || !Number.isFinite(input.valueAsNumber)) input.value = model.get("value");
    else tell("value", clamped(input.valueAsNumber, model));
  });
  describe(context, input);
  watch(["min", "max", "step"], (name) => { input[name] = model.get(name) ?? (name === "step" ? "any" : ""); });
  watch(["value"], () => { input.value = model.get("value"); });
}

function clamped(value, model) {
  const whole = model.get("_view_name") === "IntTextView" ? Math.trunc(value) : value;
  return Math.min(Math.max(whole, model.get("min") ?? -Infinity), model.get("max") ?? Infinity);
}

function drawProgress(context) {
  const { model, watch } = context;
  const bar = make("progress");
  describe(context, bar);
  watch(["description", "tooltip"], () => bar.setAttribute("aria-label", model.get("description") || model.get("tooltip") || ""));
  watch(["min", "max", "value"], () => {
    bar.max = model.get("max") - model.get("min") || 1;
    bar.value = model.get("value") - model.get("min");
  });
}

function drawHTML({ model, el, watch }) {
  watch(["value"], () => { el.innerHTML = model.get("value"); }); // Python has escaped what is not its own
}

function drawImage({ model, el, watch, atEnd }) {
  let address = null;
  const forget = () => { if (address) URL.revokeObjectURL(address); };
  el.alt = "";
  watch(["value"], () => {
    const bytes = model.get("value");
    forget();
    address = bytes?.byteLength ? URL.createObjectURL(new Blob([bytes], { type: `image/${model.get("format")}` })) : null;
    if (address) el.src = address;
    else el.removeAttribute("src");
  });
  atEnd(forget);
}

const control = (draw) => ({ className: "wb-control", draw });

export const CONTROLS = {
  ButtonView: { tag: "button", className: "wb-button", draw: drawButton },
  CheckboxView: control(drawCheckbox),
  DropdownView: control(drawDropdown),
  FloatLogSliderView: control(drawLogSlider),
  FloatSliderView: control(drawNumberSlider),
  FloatTextView: control(drawNumber),
  HTMLView: { className: "wb-html", draw: drawHTML },
  ImageView: { tag: "img", className: "wb-image", draw: drawImage },
  IntSliderView: control(drawNumberSlider),
  IntTextView: control(drawNumber),
  ProgressView: control(drawProgress),
  SelectionSliderView: control(drawSelectionSlider),
  ToggleButtonsView: control(drawToggleButtons),
};
