// Joins the box that it lies in to the page, says whether the page is dark, and offers to save what is seen there.

import { join } from "./shared/page.js";
import { saveMenu } from "./shared/save_view.js";
import { watchTheme } from "./shared/theme.js";

export default {
  render({ model, el }) {
    el.classList.add("wb-frame");
    el.append(saveMenu(model));
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
