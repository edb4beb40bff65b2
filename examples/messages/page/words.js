/** Figures, times and codes in the words of people. */

const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const absolute = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

/** "15 minutes": rounded up, so that waiting for so long is long enough. */
export function duration(seconds) {
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? ["second", 1];
  const count = Math.max(1, Math.ceil(seconds / size));
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

/** "5 minutes ago" of a time in milliseconds since the epoch, or as ISO 8601. */
export function ago(time) {
  const seconds = (Date.now() - new Date(time)) / 1000;
  if (seconds < 45) return "just now";
  const [unit, size] = UNITS.find(([, size]) => seconds >= size);
  return relative.format(-Math.round(seconds / size), unit);
}

/** "24 Nov 2026, 13:05", in the reader's own zone. */
export const moment = (time) => absolute.format(new Date(time));

const BROWSERS = [
  [/Edg(e|A|iOS)?\//, "Edge"],
  [/OPR\//, "Opera"],
  [/(Firefox|FxiOS)\//, "Firefox"],
  [/HeadlessChrome|(Chrome|CriOS|Chromium)\//, "Chrome"],
  [/Safari\//, "Safari"],
  [/^curl\//, "curl"],
  [/^python-/, "Python"],
];
const SYSTEMS = [
  [/Android/, "Android"],
  [/iPhone/, "iPhone"],
  [/iPad/, "iPad"],
  [/Windows/, "Windows"],
  [/Mac OS X/, "macOS"],
  [/CrOS/, "ChromeOS"],
  [/Linux/, "Linux"],
];

/** "Firefox on Linux" of a User-Agent header. */
export function device(userAgent) {
  const named = (table) => table.find(([pattern]) => pattern.test(userAgent ?? ""))?.[1];
  const [browser, system] = [named(BROWSERS), named(SYSTEMS)];
  return [browser, system].filter(Boolean).join(" on ") || "Unknown device";
}

const EVENTS = {
  signed_up: "Signed up",
  confirmed: "Email address confirmed",
  logged_in: "Logged in",
  login_failed: "Login failed",
  logged_out: "Logged out",
  sessions_revoked: "Sessions ended",
  password_changed: "Password changed",
  password_reset_requested: "Password reset asked for",
  password_reset: "Password reset",
  confirmation_requested: "Confirmation asked for again",
  email_change_requested: "New email address asked for",
  email_changed: "Email address changed",
  address_claimed: "Somebody tried to sign up with your email address",
  account_updated: "Account changed",
  throttled: "Too many attempts",
};

/** What happened, of an event's code. */
export const eventName = (code) => EVENTS[code] ?? code.replaceAll("_", " ");
