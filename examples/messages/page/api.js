/** The API, and in plain words what can go wrong with it. */

import { end, token } from "./session.js";
import { duration } from "./words.js";

export const ENDED = "Your session has ended. Please log in again.";
const UNREACHABLE = "The server can’t be reached. Check your connection and try again.";
const BROKEN = "Something went wrong on the server. Please try again.";
const SECONDS = 20;

/** An answer other than success: a message for each wrong field, or one under `base`. */
export class Refusal extends Error {
  constructor(errors, status) {
    super(Object.values(errors).join(" "));
    this.errors = errors;
    this.status = status;
  }
}

/**
 * The content of the answer to a request, with the token if there is one. A 401 that means the
 * token is good no more ends the session here.
 */
export async function call(method, path, body) {
  const sent = token();
  const response = await send(method, path, body, sent);
  const content = await response.json().catch(() => ({}));
  if (response.ok) return content;
  if (response.status === 401 && content.error) {
    if (token() && token() !== sent) return call(method, path, body); // another tab logged in anew
    end(sent, ENDED);
    throw new Refusal({ base: ENDED }, 401);
  }
  throw new Refusal(faults(response, content), response.status);
}

async function send(method, path, body, sent) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  if (sent) headers.Authorization = `Bearer ${sent}`;
  const signal = AbortSignal.timeout(SECONDS * 1000);
  try {
    const text = body && JSON.stringify(body);
    return await fetch(`/api${path}`, { method, headers, body: text, signal });
  } catch {
    throw new Refusal({ base: UNREACHABLE }, 0);
  }
}

function faults(response, content) {
  const wait = Number(response.headers.get("Retry-After"));
  if (response.status === 429) {
    return { base: `Too many attempts. Please try again in ${duration(wait || 60)}.` };
  }
  if (response.status === 503) {
    return { base: `The server is busy. Please try again in ${duration(wait || 1)}.` };
  }
  return content.errors ?? { base: content.error ?? BROKEN };
}
