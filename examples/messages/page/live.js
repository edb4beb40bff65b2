/** One WebSocket for as long as somebody is logged in: messages come by it, and so does the end. */

import { call, ENDED } from "./api.js";
import { end, session, token } from "./session.js";

const TOKEN_ENDED = 3000;
const LONGEST_MS = 30_000;

/** Tells "state" ("connecting", "live", "waiting") and "message", with `detail`. */
export const live = Object.assign(new EventTarget(), { state: "connecting" });

let socket = null;
let failures = 0;
let timer = 0;

/** Follows the log-ins and log-outs. */
export function start() {
  session.addEventListener("change", restart);
  addEventListener("online", restart);
  restart();
}

function restart() {
  clearTimeout(timer);
  socket?.close();
  socket = null;
  failures = 0;
  if (token()) connect();
}

function connect() {
  if (!failures) become("connecting");
  const used = token();
  // Browsers can set no header here; the token is offered as a subprotocol.
  const own = new WebSocket(`${location.origin.replace("http", "ws")}/api/messages/live`, [
    "bearer",
    used,
  ]);
  let opened = false;
  own.onopen = () => {
    opened = true;
    failures = 0;
    become("live");
  };
  own.onmessage = ({ data }) => tell("message", JSON.parse(data));
  own.onclose = ({ code }) => {
    if (own !== socket) return; // it was closed here
    socket = null;
    if (code === TOKEN_ENDED) return end(used, ENDED);
    become("waiting");
    reconnect();
    // A refused handshake looks like no network; a request tells which, and ends the session if so.
    if (!opened) call("GET", "/account").catch(() => {});
  };
  socket = own;
}

function reconnect() {
  // At random, or all who were cut off would come back together.
  const delay = Math.min(LONGEST_MS, 500 * 2 ** failures++) * (0.5 + Math.random() / 2);
  clearTimeout(timer);
  timer = setTimeout(() => token() && connect(), delay);
}

function become(state) {
  live.state = state;
  tell("state", state);
}

function tell(type, detail) {
  live.dispatchEvent(new CustomEvent(type, { detail }));
}
