"""A headless Chromium that a test drives over two pipes: no port, no driver, and gone at the end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-default-apps", "--no-first-run", "--disable-extensions", "--mute-audio",
    "--enable-unsafe-swiftshader", "--use-angle=swiftshader", "--remote-debugging-pipe", "--hide-scrollbars",
)  # fmt: skip


def find_chromium() -> str | None:
    """Give the path of a Chromium on this machine."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@dataclass(slots=True)
class Page:
    """One page of the browser: what it logged and asked for, and a way to run a line of script in it."""

    commands: IO[bytes]
    answers: IO[bytes]
    session: str = ""
    logged: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    _number: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while (answer := self._read()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["result"]
        return found

    def evaluate(self, script: str) -> Any:
        """Run an expression in the page, wait for it if it is a promise, and give its value."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, address: str) -> None:
        """Open an address and wait until the page says that it is ready."""
        self.call("Page.navigate", url=address)
        self.wait_for("document.body?.dataset.ready")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true in the page; it is looked at again and again."""
        look = f"const look = () => ({condition}) ? done(true) : setTimeout(look, 20); look();"
        self.evaluate(f"new Promise((done) => {{ {look} }})")

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def _read(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            assert byte, "the browser ended"
            text += byte
        parsed: dict[str, Any] = json.loads(text)
        return parsed

    def _note(self, event: dict[str, Any]) -> None:
        method, told = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requested.append(told["request"]["url"])
        elif method in {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}:
            self.logged.append(json.dumps(told))


@contextmanager
def open_page(program: str, profile: Path, *, width: int = 1400, height: int = 900) -> Iterator[Page]:
    """Start a browser with one empty page."""
    read_commands, write_commands = os.pipe()
    read_answers, write_answers = os.pipe()

    # The browser reads from descriptor 3 and writes to 4, by the shell's hand: they are ours under other numbers.
    line = f'exec "$0" "$@" 3<&{read_commands} 4>&{write_answers}'
    arguments = [*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
    process = subprocess.Popen(  # noqa: S603  the browser that was found
        ["/bin/bash", "-c", line, program, *arguments],
        pass_fds=(read_commands, write_answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(read_commands)
    os.close(write_answers)
    with os.fdopen(write_commands, "wb") as commands, os.fdopen(read_answers, "rb") as answers:
        page = Page(commands, answers)
        try:
            target = page.call("Target.createTarget", url="about:blank")["targetId"]
            page.session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                page.call(f"{domain}.enable")
            page.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=False,
            )
            yield page
        finally:
            page.session = ""
            with contextlib.suppress(AssertionError, BrokenPipeError):
                page.call("Browser.close")
            process.wait()
