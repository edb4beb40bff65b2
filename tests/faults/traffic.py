"""People who use a service, remember what they were told, and notice when it is not so.

Whoever gets no answer, or a 503, tries again, as a client does that can't know whether its request
was done. What is certain is noted as such; what is not must be one or the other.
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.faults.ledger import BOUND, Revoked
from tests.faults.mailbox import Mailbox
from tests.faults.workers import Fleet
from tests.server_fleet import NO_ANSWER, Answer

PATIENCE_SECONDS = 60.0
MAIL_PATIENCE_SECONDS = 150.0  # a mail whose sender was killed is leased to it for two minutes
PAUSE_SECONDS = 0.02
RETRY_SECONDS = 0.1
UNCERTAIN = (NO_ANSWER, 503)
NUMBERS = itertools.count()


def bearer(token: str) -> dict[str, Any]:
    """What `connect` wants, to send a token."""
    return {"additional_headers": {"Authorization": f"Bearer {token}"}, "ping_interval": None}


class Stopped(Exception):
    """The run is over, before this was answered."""


class Person:
    """One user's life: an account, its tokens, and what is known of them for certain."""

    def __init__(self, fleet: Fleet, mailbox: Mailbox, prefix: str) -> None:
        self._fleet = fleet
        self._mailbox = mailbox
        self.email = f"{prefix}{next(NUMBERS)}@example.com"
        self.password = "first secret"
        self.exists = False
        self.is_deleted = False
        self.live: set[str] = set()
        self.is_settled = True  # False: in the midst of something when the run ended

    async def be_born(self) -> None:
        """Signs up, reads the mail, confirms, logs in."""
        user = {"email": self.email, "password": self.password}
        answer, again = await self._ask("POST", "/api/users", body={"user": user})
        if answer.status != 200 and not (again and answer.status == 422):
            self._breach(f"a sign-up was answered {answer.status} {answer.body}")
            raise Stopped
        letter = await self._mailbox.receive(self.email, "confirmation", MAIL_PATIENCE_SECONDS)
        if letter is None:
            self._breach("I3 the mail of an answered sign-up did not come")
            raise Stopped
        path = f"/api/users/{letter.user_id}/confirm"
        answer, again = await self._ask("POST", path, body={"confirmation_token": letter.token})
        if answer.status == 200:
            self.live.add(answer.body["token"])
            await self._once("POST", path, {"confirmation_token": letter.token})
        elif not (again and answer.status == 422):
            self._breach(f"I3 a mailed token was answered {answer.status}")
        self.exists = True

    async def live_on(self, acts: int) -> None:
        """Does this and that."""
        deeds = (self.use, self.use, self.use, self.log_in, self.log_out)
        for _ in range(acts):
            await asyncio.sleep(random.uniform(0, 2 * PAUSE_SECONDS))
            await random.choice(deeds)()
        last = (self.reset, self.change_password, self.log_out, self.talk)
        await random.choice(last)()

    async def use(self) -> None:
        """A request with a token that must be good."""
        if not self.live:
            return await self.log_in()
        token = random.choice(sorted(self.live))
        answer = await self._fleet.call("GET", "/api/messages", token)
        if answer.status == 401:
            self._breach("I2 a good token was refused")
            self.live.discard(token)

    async def talk(self) -> None:
        """Over a WebSocket, logs out meanwhile, and is heard no longer than the bound."""
        if not self.live:
            return await self.log_in()
        token = random.choice(sorted(self.live))
        with contextlib.suppress(OSError, TimeoutError, WebSocketException):
            async with (
                asyncio.timeout(30),
                connect(self._fleet.socket_url(), **bearer(token)) as it,
            ):
                await it.send("hello")
                await it.recv()
                self.live.discard(token)
                answer, _ = await self._ask("DELETE", "/api/sessions", token)
                self._fleet.ledger.is_revoked(token, answer)
                await asyncio.sleep(BOUND)
                began = time.monotonic()
                await it.send("still there?")
                await it.recv()
                heard = Answer(began, time.monotonic(), 200, None)
                self._fleet.ledger.use_of_revoked(Revoked(token, answer.ended), heard)

    async def log_in(self) -> None:
        answer, _ = await self._ask("POST", "/api/sessions", body=self._credentials())
        if answer.status == 200:
            self.live.add(answer.body["token"])
        else:
            self._breach(f"I2 the password of an account was answered {answer.status}")

    async def log_out(self) -> None:
        if not self.live:
            return
        token = self.live.pop()
        answer, _ = await self._ask("DELETE", "/api/sessions", token)
        if answer.status in (200, 401):
            self._fleet.ledger.is_revoked(token, answer)
        else:
            self._breach(f"a logout was answered {answer.status}")

    async def reset(self) -> None:
        """Forgets the password: a mail, a new one, and no older token is good."""
        answer, twice = await self._ask("POST", "/api/password_resets", body={"email": self.email})
        if answer.status != 200:
            return self._breach(f"a reset was answered {answer.status}")
        # Asked twice, the second mail's token takes the place of the first one's.
        if not await self._choose_password(may_be_replaced=twice):
            await self._choose_password(may_be_replaced=False)

    async def _choose_password(self, *, may_be_replaced: bool) -> bool:
        """With the mailed token; False: a later mail's has taken its place."""
        letter = await self._mailbox.receive(self.email, "password_reset", MAIL_PATIENCE_SECONDS)
        if letter is None:
            self._breach("I3 the mail of an answered reset did not come")
            return True
        password = f"{self.password}+"
        body = {
            "user_id": letter.user_id,
            "password_reset_token": letter.token,
            "password": password,
        }
        before, self.live = self.live, set()
        answer, again = await self._ask("POST", "/api/password_resets/reset", body=body)
        if answer.status == 200:
            self.live.add(answer.body["token"])
            await self._once("POST", "/api/password_resets/reset", body)
        elif not (again and answer.status == 422):
            self.live = before
            if not may_be_replaced:
                self._breach(f"I3 a mailed reset token was answered {answer.status}")
            return not may_be_replaced
        self.password = password
        for token in before:
            self._fleet.ledger.is_revoked(token, answer)
        return True

    async def change_password(self) -> None:
        """With the present one; the other tokens end."""
        if not self.live:
            return await self.log_in()
        keeper = self.live.pop()
        before, self.live = self.live, {keeper}
        password = f"{self.password}."
        account = {"password": password, "current_password": self.password}
        answer, again = await self._ask("PUT", "/api/account", keeper, {"account": account})
        if answer.status == 200 or (again and answer.status == 422):
            self.password = password
            for token in before:
                self._fleet.ledger.is_revoked(token, answer)
        else:
            self._breach(f"a change of password was answered {answer.status} {answer.body}")

    async def die(self) -> None:
        """Deletes the account."""
        if not self.live:
            await self.log_in()
        if not self.live:
            return  # which is a breach already
        before, self.live = sorted(self.live), set()
        body = {"password": self.password}
        answer, again = await self._ask("DELETE", "/api/account", before[0], body)
        if answer.status == 200 or (again and answer.status == 401):
            self.is_deleted = True
            for token in before:
                self._fleet.ledger.is_revoked(token, answer)
        else:
            self._breach(f"a deletion was answered {answer.status}")

    async def check(self) -> None:
        """At the end, in quiet: everything is as it was answered."""
        if not (self.exists and self.is_settled):
            return
        answer, _ = await self._ask("POST", "/api/sessions", body=self._credentials())
        if (answer.status == 401) != self.is_deleted:
            state = "deleted" if self.is_deleted else "living"
            self._breach(f"I2 the login of a {state} account was answered {answer.status}")
        for token in self.live:
            answer, _ = await self._ask("GET", "/api/messages", token)
            if answer.status != 200:
                self._breach(f"I2 a good token was answered {answer.status}")

    def _credentials(self) -> dict[str, str]:
        return {"email": self.email, "password": self.password}

    async def _once(self, method: str, path: str, body: Any) -> None:
        """A second use of a mailed token."""
        if random.random() < 0.2:
            answer, _ = await self._ask(method, path, body=body)
            if answer.status == 200:
                self._breach("I4 a mailed token was good twice")

    async def _ask(
        self, method: str, path: str, token: str = "", body: Any = None
    ) -> tuple[Answer, bool]:
        """Asks until there is a certain answer; whether an earlier try may have been done."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        again = False
        while True:
            self.is_settled = False
            answer = await self._fleet.call(method, path, token, body)
            if answer.status not in UNCERTAIN:
                self.is_settled = True
                return answer, again
            if time.monotonic() > give_up_at:
                self._breach(f"no answer to {method} {path} for {PATIENCE_SECONDS:.0f} s")
                raise Stopped
            again = True
            await asyncio.sleep(random.uniform(RETRY_SECONDS / 2, RETRY_SECONDS))

    def _breach(self, what: str) -> None:
        self._fleet.ledger.breach(what)


class Crowd:
    """Many lives side by side, until they are told to end."""

    def __init__(
        self, fleet: Fleet, mailbox: Mailbox, *, acts: int = 12, mortality: float = 0.2
    ) -> None:
        self._fleet = fleet
        self._mailbox = mailbox
        self._acts = acts
        self._mortality = mortality
        self.people: list[Person] = []
        self.is_ending = False

    async def live(self, prefix: str) -> None:
        """One life after another."""
        while not self.is_ending:
            person = Person(self._fleet, self._mailbox, prefix)
            self.people.append(person)
            with contextlib.suppress(Stopped):
                await person.be_born()
                await person.live_on(self._acts)
                if random.random() < self._mortality:
                    await person.die()

    async def haunt(self) -> None:
        """Uses tokens again that were revoked more than the bound ago."""
        ledger = self._fleet.ledger
        while not self.is_ending:
            if due := ledger.due_revoked():
                revoked = random.choice(due[-50:])
                answer = await self._fleet.call("GET", "/api/messages", revoked.token)
                ledger.use_of_revoked(revoked, answer)
            await asyncio.sleep(PAUSE_SECONDS)

    async def check(self, most: int = 400) -> None:
        """Looks at what became of everybody, or of so many drawn at random."""
        people = random.sample(self.people, min(most, len(self.people)))
        await asyncio.sleep(BOUND)
        gate = asyncio.Semaphore(10)

        async def check(person: Person) -> None:
            async with gate:
                with contextlib.suppress(Stopped):
                    await person.check()

        await asyncio.gather(*map(check, people))
        ledger = self._fleet.ledger
        for revoked in random.sample(ledger.revoked, min(most, len(ledger.revoked))):
            answer = await self._fleet.call("GET", "/api/messages", revoked.token)
            ledger.use_of_revoked(revoked, answer)


@contextlib.asynccontextmanager
async def crowded(
    fleet: Fleet, mailbox: Mailbox, lives: int = 8, **options: Any
) -> AsyncIterator[Crowd]:
    """So many lives at a time while the block runs; they come to their end before it is left."""
    crowd = Crowd(fleet, mailbox, **options)
    async with asyncio.TaskGroup() as group:
        for number in range(lives):
            group.create_task(crowd.live(f"user{number}-"))
        group.create_task(crowd.haunt())
        try:
            yield crowd
        finally:
            crowd.is_ending = True
