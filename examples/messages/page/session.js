/** Who is logged in: the token, in every tab. */

// In localStorage, not sessionStorage: a link from a mail opens a new tab, which is to be logged in
// as well, and a log-out is to reach every tab. A foreign script could read either of them; the
// content security policy lets none run.
const KEY = "token";
const USER = "user_id";

let farewell = "";

/** Tells "change" after each log-in and log-out, here or in another tab; `detail` says why. */
export const session = new EventTarget();

export const token = () => localStorage.getItem(KEY);

/** Whose the token is, or was last. */
export const userId = () => localStorage.getItem(USER);

/** Logs in with the API's token reply. */
export function begin(reply) {
  const replaced = token();
  localStorage.setItem(USER, reply.id);
  localStorage.setItem(KEY, reply.token);
  // What this browser can use no more should not stay in the list of sessions.
  if (replaced && replaced !== reply.token) revoke(replaced);
  tell({});
}

/** Forgets a token that has ended; `notice` tells the user why. */
export function end(ended, notice) {
  if (ended !== token()) return; // another has taken its place by now
  localStorage.removeItem(KEY);
  tellEnd(notice);
}

/** Ends the session by `act`; whoever tells first, its answer, the socket or another tab, `notice` is said. */
export async function leave(notice, act) {
  const leaving = token();
  farewell = notice;
  try {
    await act();
    end(leaving);
  } finally {
    farewell = "";
  }
}

function revoke(replaced) {
  const headers = { Authorization: `Bearer ${replaced}` };
  fetch("/api/sessions", { method: "DELETE", headers, keepalive: true }).catch(() => {});
}

function tellEnd(notice) {
  tell(farewell ? { notice: farewell, wanted: true } : { notice });
}

function tell(detail) {
  session.dispatchEvent(new CustomEvent("change", { detail }));
}

addEventListener("storage", ({ key, newValue }) => {
  if (key !== null && key !== KEY) return;
  if (newValue) tell({});
  else tellEnd("You were logged out in another tab.");
});
