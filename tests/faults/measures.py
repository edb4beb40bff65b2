"""What a run measures, and the limits that the figures must keep."""

import asyncio
import time

from tests.faults.workers import Fleet
from tests.server_fleet import Answer

RECOVERY_SECONDS = 5.0
# A request's deadline of two seconds, five in which the sender sends what is due, and some more.
LONGEST_EXIT_SECONDS = 2.0 + 5.0 + 5.0
LATE_SECONDS = 2.0  # what a busy machine adds
USER = {"username": "ada", "password": "secret"}


async def ask_until(fleet: Fleet, until: float) -> list[Answer]:
    """What logins come to until then, one after another."""
    answers = []
    while time.monotonic() < until:
        answers.append(await fleet.call("POST", "/api/sessions", body=USER))
        await asyncio.sleep(0.05)
    return answers


def answered_in_time(fleet: Fleet, answers: list[Answer], deadline: float) -> None:
    """Every answer came before the deadline, but for what a busy machine adds."""
    longest = max(answer.ended - answer.started for answer in answers)
    if longest > deadline + LATE_SECONDS:
        fleet.ledger.breach(f"answered after {longest:.1f} s, and not {deadline:.1f} s")
    if not any(answer.status == 503 for answer in answers):
        fleet.ledger.breach("no 503: the fault did not bite")


async def p99_of_open(fleet: Fleet, seconds: float) -> str:
    """Milliseconds of a route that needs no database, one request every 5 ms."""
    taken = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answer = await fleet.call("GET", "/open")
        taken.append((answer.ended - answer.started) * 1000)
        await asyncio.sleep(0.005)
    return f"{sorted(taken)[int(len(taken) * 0.99)]:.1f}"


async def seconds_to_first_answer(fleet: Fleet) -> float:
    """From now until each worker has had an answer from the database."""
    began = time.monotonic()
    for worker in fleet.workers:
        async with asyncio.timeout(60):
            while True:
                answer = await worker.call("POST", "/api/sessions", body=USER)
                if answer.status in (200, 401):
                    break
                await asyncio.sleep(0.05)
    seconds = time.monotonic() - began
    if seconds > RECOVERY_SECONDS:
        fleet.ledger.breach(f"{seconds:.1f} s until the first answer")
    return seconds
