"""python -m examples.deployment: all of it on this machine, in the foreground, without root.

Ctrl-C ends it; SIGHUP restarts the workers, one at a time.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from examples.deployment.installing import Installation
from examples.deployment.services import Nginx, Service
from examples.deployment.units import read_unit

WORKERS = ("1", "2")  # those of the upstream in nginx/messages.conf
DEBIANS_SBIN = "/usr/sbin"  # where nginx is, and not in everybody's PATH


def main() -> int:
    installation = _installation(_options())
    installation.install()
    os.environ["PATH"] += f":{DEBIANS_SBIN}"
    try:
        asyncio.run(Deployment(installation).run())
    except (RuntimeError, FileNotFoundError) as error:
        print(f"examples.deployment: {error}", file=sys.stderr)
        return 1
    return 0


class Deployment:
    """The migration, the workers, the sender of mails, and nginx."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._migration = self._service("messages-migrate.service")
        self._workers = [self._service("messages-web@.service", i) for i in WORKERS]
        self._mail = self._service("messages-mail.service")
        self._nginx = Nginx(installation.directory)

    async def run(self) -> None:
        """Runs until SIGINT or SIGTERM."""
        stop, renew = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, renew.set)
        work = asyncio.create_task(self._serve(renew))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            stopped.cancel()
            work.cancel()
            await asyncio.wait({work})
            await self._stop()

    async def _serve(self, renew: asyncio.Event) -> None:
        await self._migration.start()
        await asyncio.gather(*(service.start() for service in (*self._workers, self._mail)))
        await self._nginx.start()
        renewing = asyncio.create_task(self._renew(renew))
        try:
            print(f"serving https://localhost:{self._installation.https_port}", flush=True)
            raise RuntimeError(f"nginx ended with {await self._nginx.ended()}")
        finally:
            renewing.cancel()

    async def _renew(self, renew: asyncio.Event) -> None:
        while True:
            await renew.wait()
            renew.clear()
            try:
                await self._migration.start()
                for service in (*self._workers, self._mail):
                    await service.restart()
            except RuntimeError as error:  # the others go on with what they have
                print(f"stopped half-way: {error}", flush=True)
            else:
                print("all workers are new", flush=True)

    async def _stop(self) -> None:
        await self._nginx.stop()  # after which nobody is there to be refused
        services = (*self._workers, self._mail)
        await asyncio.gather(*(service.stop(drained=False) for service in services))

    def _service(self, name: str, instance: str = "") -> Service:
        unit = read_unit(self._installation.unit_file(name), instance)
        return Service(unit, self._installation.directory / "run")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.deployment")
    parser.add_argument(
        "--database-url", required=True, help="postgresql://USER:PASSWORD@HOST/NAME"
    )
    parser.add_argument("--redis-url", default="redis://127.0.0.1:6379/0")
    parser.add_argument("--mail-transport", help="by default files in DIRECTORY/mail")
    parser.add_argument("--directory", type=Path, default=Path("deployment"))
    parser.add_argument("--https-port", type=int, default=8443)
    parser.add_argument("--http-port", type=int, default=8080)
    return parser.parse_args()


def _installation(options: argparse.Namespace) -> Installation:
    directory = options.directory.resolve()
    return Installation(
        directory=directory,
        https_port=options.https_port,
        http_port=options.http_port,
        secrets={
            "TOKEN_AUTH_DATABASE": options.database_url,
            "TOKEN_AUTH_THROTTLE_STORAGE": options.redis_url,
            "TOKEN_AUTH_MAIL_TRANSPORT": options.mail_transport or f"file:{directory}/mail",
        },
    )


if __name__ == "__main__":
    sys.exit(main())
