// Elements of a page and of a drawing, each made in one call; texts are text, never HTML.

function described(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export function make(tag, className, text, attributes = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return described(element, attributes);
}

export function svg(tag, attributes = {}, parent = null) {
  const element = described(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes);
  parent?.append(element);
  return element;
}

export function button(text, onClick, className = "") {
  const element = make("button", `wb-button ${className}`, text, { type: "button" });
  element.addEventListener("click", onClick);
  return element;
}

// choices: [[value, text]]; onChange gets the value as text.
export function select(choices, onChange, attributes = {}) {
  const element = make("select", "", undefined, attributes);
  fill(element, choices);
  element.addEventListener("change", () => onChange(element.value));
  return element;
}

// Offer these choices in a select, if they are others than before.
export function fill(element, choices) {
  const offered = JSON.stringify(choices);
  if (element.dataset.choices === offered) return;
  element.dataset.choices = offered;
  element.replaceChildren(...choices.map(([value, text]) => make("option", "", text, { value })));
}

// A label around controls and texts.
export function field(...parts) {
  const label = make("label", "wb-field");
  label.append(...parts);
  return label;
}

export function checkbox(on, onChange) {
  const input = make("input", "", undefined, { type: "checkbox" });
  input.checked = on;
  input.addEventListener("change", onChange);
  return input;
}

// Hidden until there is progress, 0 to 1.
export function progressBar(label) {
  const bar = make("progress", "", undefined, { max: 1, value: 0, "aria-label": label });
  bar.hidden = true;
  return bar;
}

// Where messages of what went wrong stand; screen readers say them at once.
export function errorLine() {
  const line = make("div", "wb-error", "", { role: "alert" });
  line.hidden = true;
  return line;
}
