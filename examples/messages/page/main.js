/** The page: its addresses, its header, and what happens when a log-in ends. */

import { call } from "./api.js";
import { button, link } from "./dom.js";
import * as live from "./live.js";
import * as router from "./router.js";
import { leave, session, token } from "./session.js";
import { account } from "./views/account.js";
import { confirm, confirmEmail } from "./views/confirm.js";
import { forgotPassword } from "./views/forgot_password.js";
import { logIn } from "./views/log_in.js";
import { messages } from "./views/messages.js";
import { notFound } from "./views/not_found.js";
import { resendConfirmation } from "./views/resend_confirmation.js";
import { resetPassword } from "./views/reset_password.js";
import { sessions } from "./views/sessions.js";
import { signUp } from "./views/sign_up.js";
import { welcome } from "./views/welcome.js";

const ROUTES = {
  "/": { title: "", view: welcome, guests: true },
  "/sign-up": { title: "Sign up", view: signUp, guests: true },
  "/log-in": { title: "Log in", view: logIn, guests: true },
  "/confirm": { title: "Confirm your email address", view: confirm },
  "/confirm-email": { title: "Confirm your new email address", view: confirmEmail },
  "/resend-confirmation": { title: "Send the confirmation again", view: resendConfirmation },
  "/forgot-password": { title: "Forgot your password?", view: forgotPassword },
  "/reset-password": { title: "Choose a new password", view: resetPassword },
  "/messages": { title: "Your messages", view: messages, members: true },
  "/sessions": { title: "Sessions", view: sessions, members: true },
  "/account": { title: "Account", view: account, members: true },
  "*": { title: "Page not found", view: notFound },
};

const logOut = () =>
  leave("You are logged out.", () => call("DELETE", "/sessions")).catch(router.sayFault);

function showHeader() {
  const members = [link("/sessions", "Sessions"), link("/account", "Account")];
  const links = token()
    ? [link("/messages", "Messages"), ...members, button("Log out", logOut, { class: "plain" })]
    : [link("/log-in", "Log in"), link("/sign-up", "Sign up")];
  document.getElementById("nav").replaceChildren(...links);
  router.markCurrent();
}

session.addEventListener("change", ({ detail }) => {
  showHeader();
  const route = router.currentRoute();
  if (!token() && route?.members) {
    const path = detail.wanted ? "/log-in" : router.logInPath();
    router.go(path, { replace: !detail.wanted, told: detail.notice });
  } else if (!token() && detail.notice) {
    router.say(detail.notice);
  } else if (token() && route?.guests) {
    router.go(router.wanted(), { replace: true });
  }
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});

showHeader();
router.start(ROUTES);
live.start();
