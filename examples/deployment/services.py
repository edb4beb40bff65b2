"""Units as processes: started, kept alive, and replaced one at a time, as systemd does it."""

import asyncio
import os
import signal
from pathlib import Path

from examples.deployment.units import Command, Unit

RESTART_SECONDS = 1.0


class Service:
    """A unit that runs.

    Args:
        unit: what to run.
        run_directory: in which its runtime directory is made.
    """

    def __init__(self, unit: Unit, run_directory: Path) -> None:
        self.unit = unit
        self._run_directory = run_directory
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once it is started: a oneshot when it is done, others when they are ready.

        Raises:
            RuntimeError: it fails.
        """
        if self.unit.is_oneshot:
            await self._run(self.unit.start)
            return
        await self._launch()
        self._keeper = asyncio.create_task(self._keep())
        for command in self.unit.start_post:
            await self._run(command)

    async def stop(self, *, drained: bool = True) -> None:
        """Ends it, and kills what does not end in time; undrained it skips what comes before."""
        if self._keeper is None or self._process is None:
            return
        self._keeper.cancel()
        for command in self.unit.stop if drained else ():
            await self._run(command)
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(self.unit.stop_seconds):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def _launch(self) -> None:
        if self.unit.runtime_directory is not None:
            inner = self.unit.runtime_directory.partition("/")[2]
            (self._run_directory / inner).mkdir(mode=0o750, exist_ok=True)
        self._process = await self._spawn(self.unit.start)
        print(f"{self.unit.name} is process {self._process.pid}", flush=True)

    async def _keep(self) -> None:
        while self._process is not None:
            status = await self._process.wait()
            print(f"{self.unit.name} ended with {status}: it is started again", flush=True)
            await asyncio.sleep(RESTART_SECONDS)
            await self._launch()

    async def _run(self, command: Command) -> None:
        process = await self._spawn(command)
        try:
            status = await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
        if status != 0:
            raise RuntimeError(f"{self.unit.name}: {command[0]} failed")

    async def _spawn(self, command: Command) -> asyncio.subprocess.Process:
        environment = {"PATH": os.environ["PATH"], **self.unit.environment()}
        if self._process is not None and self._process.returncode is None:
            environment["MAINPID"] = str(self._process.pid)
        # A session of its own: Ctrl-C reaches this process alone, which ends all in their order.
        return await asyncio.create_subprocess_exec(
            *command, cwd=self.unit.working_directory, env=environment, start_new_session=True
        )


class Nginx:
    """nginx in the foreground, in that directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            "nginx",
            *("-p", str(self._directory)),
            *("-c", str(self._directory / "nginx/nginx.conf")),
            *("-e", "stderr"),
            *("-g", "daemon off;"),
            start_new_session=True,
        )

    async def stop(self) -> None:
        """Answers what it was asked, then ends."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGQUIT)
            await self._process.wait()

    async def ended(self) -> int | None:
        """Returns when it ends by itself: its configuration is wrong, or its ports are taken."""
        return None if self._process is None else await self._process.wait()
