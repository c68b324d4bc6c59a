// Whether the page is light or dark: by the ink that it writes with, whatever host it is.

// Of any colour of CSS, as a browser paints it: 0 (black) to 1 (white).
function brightness(colour) {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
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
