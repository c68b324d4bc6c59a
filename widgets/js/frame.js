// Joins the box that it lies in to the page, and says whether the page is dark; it is as good as invisible itself.

import { join } from "./shared/page.js";
import { watchTheme } from "./shared/theme.js";

export default {
  render({ model, el }) {
    el.classList.add("wb-frame");
    const leave = join(model, el, () => el.parentElement);
    const unwatch = watchTheme(el, (dark) => {
      if (dark === model.get("dark")) return;
      model.set("dark", dark);
      model.save_changes();
    });
    return () => {
      unwatch();
      leave();
    };
  },
};
