import { Refusal } from "../api.js";
import { alertBox, button, h } from "../dom.js";

/** A place for what `load` gives; where that fails it says why, and can be tried again. */
export function loaded(load) {
  const alert = alertBox();
  const element = h("div", { "aria-busy": "true" }, h("p", { class: "muted" }, "Loading…"));
  element.reload = async () => {
    try {
      element.replaceChildren(...[await load()].flat());
      element.setAttribute("aria-busy", "false");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      element.replaceChildren(alert);
      alert.replaceChildren(h("p", {}, error.message), button("Try again", element.reload));
    }
  };
  element.reload();
  return element;
}
