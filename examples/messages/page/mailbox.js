/** The development mailbox: new mails appear by themselves. */

const MILLISECONDS = 1500;
const mails = document.getElementById("mails");

for (const time of mails.querySelectorAll("time")) shorten(time);
setInterval(refresh, MILLISECONDS);

/** Puts in what the page has by now and this one has not. */
function refresh() {
  if (document.hidden) return;
  // Not `fetch`: this is the way to a parsed document that is no sink for scripts.
  const request = new XMLHttpRequest();
  request.open("GET", location.pathname);
  request.responseType = "document";
  request.onload = () => request.response && add(request.response);
  request.send();
}

function add(fresh) {
  for (const mail of [...fresh.querySelectorAll(".mail")].reverse()) {
    if (document.getElementById(mail.id)) continue;
    document.getElementById("no-mail")?.remove();
    shorten(mail.querySelector("time"));
    mails.prepend(mail);
  }
}

/** In the reader's own zone. */
function shorten(time) {
  const format = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
  time.textContent = format.format(new Date(time.dateTime));
}
