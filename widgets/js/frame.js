// Joins the box that it lies in to the page; it is as good as invisible itself.

import { join } from "./shared/page.js";

export default {
  render({ model, el }) {
    el.classList.add("wb-frame");
    return join(model, el, () => el.parentElement);
  },
};
