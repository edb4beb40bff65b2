/** Elements without markup in strings: what goes in as text stays text. */

/**
 * An element. Functions among the attributes listen (`onclick`), true is an attribute without a
 * value, false and null are none; children are nodes, text, or lists of these.
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** A link that the router follows. */
export const link = (href, text, attributes = {}) => h("a", { href, ...attributes }, text);

/** A button that submits nothing. It rests while what it does is under way. */
export function button(text, act, attributes = {}) {
  const pressed = async () => {
    element.disabled = true;
    try {
      await act();
    } finally {
      element.disabled = false;
    }
  };
  const element = h("button", { type: "button", onclick: pressed, ...attributes }, text);
  return element;
}

/** Where faults that belong to no field are told. */
export const alertBox = () => h("div", { class: "alert", role: "alert" });
