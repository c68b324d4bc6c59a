// Whether the page is light or dark: by the ink that it writes with, whatever host it is.

// Of a colour as browsers compute it, rgb(r, g, b) or with opacity: 0 (black) to 1 (white).
export function brightness(colour) {
  const [red, green, blue] = (colour.match(/[\d.]+/g) ?? [0, 0, 0]).map(Number);
  return (0.3 * red + 0.59 * green + 0.11 * blue) / 255;
}

// Of an element's ink: CSS variables of the page as panel.css takes them.
export const isDark = (el) => brightness(getComputedStyle(el).color) > 0.5;

// Call `say` with whether the page is dark now, and whenever that may have changed. Returns what undoes it.
export function watchTheme(el, say) {
  const look = () => say(isDark(el));
  const observer = new MutationObserver(look);
  const options = { attributes: true, attributeFilter: ["data-jp-theme-light", "data-theme", "class", "style"] };
  for (const root of [document.documentElement, document.body]) observer.observe(root, options);
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", look);
  look();
  return () => {
    observer.disconnect();
    system.removeEventListener("change", look);
  };
}
