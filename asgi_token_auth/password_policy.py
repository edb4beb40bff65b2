"""What a new password must be like, and the rules that need no asking elsewhere."""

import dataclasses
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from asgi_token_auth.exceptions import SettingsError

PWNED_PASSWORDS = "https://api.pwnedpasswords.com"

TOO_COMMON = "is too common"
TOO_LIKE_A_WORD = "is too easy to guess: it is little more than a name or an address"
BREACHED = "is known from a data breach"

SHORTEST_WORD = 4  # a context word of fewer characters is in passwords by accident
LONGEST_GUESSABLE_REST = 7  # beside context words; ASVS 5, 6.2.1 asks for 8 of any password
SHORTEST_REPEATED = 4  # 'abcabcabc...' is no better than 'abc'


@dataclasses.dataclass(frozen=True, kw_only=True)
class BreachedPasswords:
    """Refuses passwords that are known from data breaches, by asking Pwned Passwords.

    The first five hexadecimal digits of the password's SHA-1 leave the process, and nothing else:
    a thousand or so others share them (k-anonymity). The answer is padded, so that its length
    tells nothing. The request goes out directly, by no proxy of the environment.

    Args:
        fail: what happens while the service can't be asked: "open" takes the password, and
            says so in the log once a minute at most; "closed" answers 503.
        minimum_count: how often a password must have been seen to be refused.
        timeout: seconds for all of it.
        base_url: of Pwned Passwords, or of a mirror with the same `/range/{5 digits}`.

    Raises:
        SettingsError: names every value that is wrong.
    """

    fail: Literal["open", "closed"] = "open"
    minimum_count: int = 1
    timeout: float = 2.0
    base_url: str = PWNED_PASSWORDS

    def __post_init__(self) -> None:
        seconds = self.timeout
        _check(
            {
                "breached.fail must be 'open' or 'closed'": self.fail in ("open", "closed"),
                "breached.minimum_count must be a positive whole number": _is_count(
                    self.minimum_count
                ),
                "breached.timeout must be a positive number of seconds": type(seconds)
                in (int, float)
                and 0 < seconds < 1e6,
                "breached.base_url must be an http(s) URL": _is_http_url(self.base_url),
            }
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PasswordPolicy:
    """What a new password must be like.

    Args:
        minimum_characters: fewest characters (Unicode code points).
        maximum_bytes: most bytes in UTF-8; nothing is ever truncated.
        common_passwords: refuses the 30,000 or so passwords used most, in any case of letters, and
            what is but a repetition ("passwordpassword", "abcabcabcabcabc"; ASVS 5, 6.2.4).
        context_words: words that the application's users would think of first, like its name; not
            None refuses a password that is little more than one of them, or than its owner's
            e-mail address, what is before the @ there, or username (ASVS 5, 6.2.11). That is:
            letters and digits alone count, in any case; a word has four of them at least; and
            with all words taken out, fewer than eight are left.
        breached: refuses what is known from data breaches, by asking a service (ASVS 5, 6.2.12).

    Raises:
        SettingsError: names every value that is wrong.
    """

    minimum_characters: int = 6
    maximum_bytes: int = 1024
    common_passwords: bool = False
    context_words: Sequence[str] | None = None
    breached: BreachedPasswords | None = None

    def __post_init__(self) -> None:
        words = self.context_words
        _check(
            {
                "minimum_characters must be a positive whole number": _is_count(
                    self.minimum_characters
                ),
                "maximum_bytes must be a whole number, minimum_characters at the least": _is_count(
                    self.maximum_bytes
                )
                and self.maximum_bytes >= self.minimum_characters,
                "common_passwords must be True or False": isinstance(self.common_passwords, bool),
                "context_words must be a sequence of words, or None": words is None
                or (_is_sequence(words) and all(isinstance(word, str) for word in words)),
                "breached must be a BreachedPasswords, or None": self.breached is None
                or isinstance(self.breached, BreachedPasswords),
            }
        )

    @classmethod
    def recommended(
        cls, *, context_words: Sequence[str] = (), breached: BreachedPasswords | None = None
    ) -> Self:
        """15 characters (NIST SP 800-63B-4 where a password is the only factor; ASVS 5, 6.2.9),
        none of the common ones, and more than names and addresses.

        >>> PasswordPolicy.recommended(context_words=["myapp"]).length_fault("secret")
        'should be at least 15 characters'

        Args:
            context_words: the application's name, and the like.
            breached: whether to ask a service too.
        """
        return cls(
            minimum_characters=15,
            common_passwords=True,
            context_words=tuple(context_words),
            breached=breached,
        )

    def length_fault(self, password: str) -> str | None:
        """What is wrong with the length of `password`, or None."""
        if len(password) < self.minimum_characters:
            return f"should be at least {self.minimum_characters} characters"
        if len(password.encode()) > self.maximum_bytes:
            return f"should be at most {self.maximum_bytes} bytes"
        return None


class PasswordRules:
    """A policy with the lists that it needs, read once.

    Args:
        policy: which rules there are.
    """

    def __init__(self, policy: PasswordPolicy) -> None:
        self._policy = policy
        self._common = _common_passwords() if policy.common_passwords else frozenset()
        self._words = tuple(policy.context_words or ())

    def fault(self, password: str, about: Sequence[str | None] = ()) -> str | None:
        """What is wrong with `password`, or None.

        Args:
            password: as it was typed; text without lone surrogates.
            about: its owner's e-mail address and username, as far as they are known.
        """
        fault = self._policy.length_fault(password)
        if fault is None and self._policy.common_passwords and self._is_common(password):
            fault = TOO_COMMON
        if fault is None and self._policy.context_words is not None:
            words = [*self._words, *(word for word in about if word)]
            fault = TOO_LIKE_A_WORD if _is_little_more_than(password, words) else None
        return fault

    def _is_common(self, password: str) -> bool:
        text = _folded(password)
        unit = text[: (text + text).find(text, 1)]  # the shortest that makes it by repetition
        if unit != text and (len(unit) < SHORTEST_REPEATED or unit in self._common):
            return True
        return text in self._common


def _common_passwords() -> frozenset[str]:
    """The frequency list that zxcvbn keeps. Imported late: only who wants it has it in memory."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(_folded(password) for password in FREQUENCY_LISTS["passwords"])


def _is_little_more_than(password: str, words: Sequence[str]) -> bool:
    rest = whole = _letters_and_digits(password)
    parts = (part for word in words for part in (word, word.partition("@")[0]))
    # The longest first, or the name before the @ would spoil the whole address.
    for word in sorted({_letters_and_digits(part) for part in parts}, key=len, reverse=True):
        if len(word) >= SHORTEST_WORD:
            rest = rest.replace(word, " ")
    return rest != whole and len(rest.replace(" ", "")) <= LONGEST_GUESSABLE_REST


def _letters_and_digits(text: str) -> str:
    return re.sub(r"[\W_]", "", _folded(text))


def _folded(text: str) -> str:
    """One spelling for upper and lower case, and for what looks the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _check(checks: dict[str, bool]) -> None:
    faults = [f"password_policy: {message}" for message, holds in checks.items() if not holds]
    if faults:
        raise SettingsError(*faults)


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _is_http_url(value: object) -> bool:
    try:
        url = urlsplit(value if isinstance(value, str) else "")
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
