"""A headless Chromium, driven over the DevTools protocol: pages opened, scripts run in them, pictures taken."""

import asyncio
import base64
import contextlib
import itertools
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

FOUND = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_START_S, _ANSWER_S = 60.0, 30.0
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
          "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0")  # fmt: skip


class Tab:
    """The one tab of a browser. ``problems`` are exceptions and errors that its console saw."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self._waiting: dict[int, asyncio.Future] = {}
        self.problems: list[str] = []

    async def listen(self) -> None:
        """Take what the browser says, until it ends."""
        async for message in self._socket:
            said = message.json()
            if (waiting := self._waiting.pop(said.get("id", 0), None)) is not None:
                waiting.set_result(said)
            if said.get("method") == "Runtime.exceptionThrown":
                self.problems.append(str(said["params"]["exceptionDetails"]))
            if said.get("method") == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.problems.append(said["params"]["entry"]["text"])

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one DevTools method."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[number]
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        said = await asyncio.wait_for(waiting, _ANSWER_S)
        assert "error" not in said, said
        return said["result"]

    async def size(self, width: int, height: int, dark: bool = False) -> None:
        """Set the window's size and colours."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def open(self, url: str) -> None:
        """Open an address, and wait for what the page says once it is ready."""
        await self.call("Page.navigate", url=url)
        await self.until("document.body?.hasAttribute('data-ready')")

    async def run(self, script: str) -> Any:
        """The value of a script, awaited."""
        done = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until a script is true."""
        for _ in range(int(_ANSWER_S / 0.05)):
            if await self.run(f"Boolean({condition})"):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"never true: {condition}; {self.problems}; {await self.run('document.body.innerText')}")

    async def picture(self, path: Path) -> None:
        """Write a PNG of what is seen."""
        shot = await self.call("Page.captureScreenshot", format="png", optimizeForSpeed=False)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.asynccontextmanager
async def chromium(profile: Path) -> AsyncIterator[Tab]:
    """A browser with a profile of its own, in an empty folder ``profile``."""
    assert FOUND is not None
    process = await asyncio.create_subprocess_exec(
        FOUND, *_FLAGS, f"--user-data-dir={profile}", "about:blank",
        stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, env={**os.environ, "HOME": str(profile)},
    )  # fmt: skip
    assert process.stderr is not None
    try:
        address = await asyncio.wait_for(_address(process.stderr), _START_S)
        draining = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://{address}/json/list") as answer:
                pages = [target for target in await answer.json() if target["type"] == "page"]
            async with client.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                listening = asyncio.create_task(tab.listen())
                for domain in ("Page", "Runtime", "Log"):
                    await tab.call(f"{domain}.enable")
                yield tab
                listening.cancel()
        draining.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _address(stderr: asyncio.StreamReader) -> str:
    while line := (await stderr.readline()).decode(errors="replace"):
        if found := re.search(r"DevTools listening on ws://([^/]+)/", line):
            return found[1]
    raise AssertionError("Chromium ended")
