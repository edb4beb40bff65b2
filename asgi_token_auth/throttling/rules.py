"""How many attempts are let through: every limit's name, and what it is unless it is changed."""

import dataclasses

from limits import RateLimitItem, parse_many

from asgi_token_auth.exceptions import SettingsError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """The most attempts, each limit by itself; several are separated by `;`, None means no limit.

    Each is text as `limits` reads it: "10/5 minutes; 100/day". The windows slide. An address is
    an IPv4 address or an IPv6 network of 64 bits; an account is what was typed, whether there
    is such an account or not. `by_device` holds for each known device of an account, which goes
    on where strangers have used up the account's limit. Of confirmations and resets only those
    with a wrong token count by account. The day's 100 logins of an account are the most guesses
    in a row that NIST SP 800-63B-4, 3.2.2, allows.

    Raises:
        SettingsError: names every limit that can't be read.
    """

    log_in_by_address: str | None = "30/minute; 300/hour"
    # Room for a service's processes that start together and log in as one.
    log_in_by_account: str | None = "30/5 minutes; 100/day"
    log_in_by_device: str | None = "10/5 minutes; 100/day"
    sign_up_by_address: str | None = "10/minute; 60/hour"
    sign_up_by_account: str | None = "10/hour"
    request_password_reset_by_address: str | None = "10/minute; 60/hour"
    # Shorter than a mailed token lasts: when it is used up, a good mail is there to go on with.
    request_password_reset_by_account: str | None = "5/15 minutes"
    request_password_reset_by_device: str | None = "5/15 minutes"
    reset_password_by_address: str | None = "20/minute"
    reset_password_by_account: str | None = "10/5 minutes"
    resend_confirmation_by_address: str | None = "10/minute; 60/hour"
    resend_confirmation_by_account: str | None = "5/15 minutes"
    confirm_by_address: str | None = "20/minute"
    confirm_by_account: str | None = "10/5 minutes"
    current_password_by_address: str | None = "30/minute; 300/hour"
    current_password_by_session: str | None = "10/5 minutes; 100/day"
    # Each sends a mail to an address of the user's choice.
    change_email_by_account: str | None = "10/hour"

    def __post_init__(self) -> None:
        faults = [f"limits.{name} {fault}" for name in self.names() if (fault := self._fault(name))]
        if faults:
            raise SettingsError(*faults)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of all limits."""
        return tuple(field.name for field in dataclasses.fields(cls))

    def windows(self, name: str) -> tuple[RateLimitItem, ...]:
        """What that limit's text says, the shortest window first: what it refuses is not
        counted in the others."""
        text = getattr(self, name)
        windows = [] if text is None else parse_many(text)
        return tuple(sorted(windows, key=lambda window: window.get_expiry()))

    def _fault(self, name: str) -> str | None:
        try:
            windows = self.windows(name)
        except ValueError:
            return "must be text like '10/5 minutes; 100/day', or None"
        if any(window.amount < 1 or window.multiples < 1 for window in windows):
            return "must allow one attempt at least"
        return None
