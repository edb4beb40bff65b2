/** From addresses to views, without leaving the page. */

import { Refusal } from "./api.js";
import { token } from "./session.js";

const view = document.getElementById("view");
const notice = document.getElementById("notice");
let routes = {};
let leaving = new AbortController();

/**
 * Starts to show views. A route is `{title, view, guests, members}`; `guests` is for those who are
 * not logged in, `members` for those who are. A view is called with a signal that is aborted when
 * it is left, and gives its element.
 */
export function start(given) {
  routes = given;
  addEventListener("popstate", () => show());
  document.addEventListener("click", follow);
  show({ first: true });
}

/** Goes to an address of the page's own; `told` is said above the view. */
export function go(path, { replace = false, told = "" } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", path);
  show({ told });
}

export const currentRoute = () => routes[location.pathname];

/** Says something above the view, until the next one comes. */
export function say(text) {
  notice.textContent = text;
}

/** Says above the view what went wrong with the server. */
export function sayFault(error) {
  if (!(error instanceof Refusal)) throw error;
  say(error.message);
}

/** Where a log-in leads: back to what was asked for, if that is a page of ours. */
export function wanted() {
  const path = new URLSearchParams(location.search).get("next");
  return routes[path]?.members ? path : "/messages";
}

/** The log-in page, from which one comes back to where one is. */
export function logInPath() {
  return `/log-in?next=${encodeURIComponent(location.pathname)}`;
}

/** `id` and `token` of a mailed link, taken out of the address: it goes into the history. */
export function takeSecrets() {
  const values = new URLSearchParams(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  return { id: values.get("id") ?? "", token: values.get("token") ?? "" };
}

function show({ first = false, told = "" } = {}) {
  const route = currentRoute() ?? routes["*"];
  if (route.members && !token()) return go(logInPath(), { replace: true, told });
  if (route.guests && token()) return go(wanted(), { replace: true, told });
  leaving.abort();
  leaving = new AbortController();
  document.title = route.title ? `${route.title} · Messages` : "Messages";
  view.replaceChildren(route.view({ signal: leaving.signal }));
  say(told);
  markCurrent();
  if (first) return;
  scrollTo(0, 0);
  const heading = view.querySelector("h1");
  heading.tabIndex = -1;
  heading.focus();
}

/** Tells the links in the header which of them leads here. */
export function markCurrent() {
  for (const anchor of document.querySelectorAll("#nav a")) {
    if (anchor.pathname === location.pathname) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
}

function follow(event) {
  const anchor = event.target.closest("a");
  const plain = !(event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  if (!anchor || !plain || anchor.target || anchor.origin !== location.origin) return;
  if (!routes[anchor.pathname] || event.defaultPrevented) return;
  event.preventDefault();
  go(anchor.pathname + anchor.search + anchor.hash);
}
