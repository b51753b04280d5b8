"""A dashboard that somebody has open while something is measured: a real one, asked as its page
asks it."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

LEAVING_SECONDS = 10
AGAIN_SECONDS = 0.5
PAGE, LIVE = "/", "/live/"


class Viewer:
    """A browser with the overview in front: it has a stream that says when the page has changed,
    and then fetches the page anew."""

    def __init__(self, link: str) -> None:
        parts = urlsplit(link)
        self._host = parts.netloc
        self._enter = f"{parts.path}?{parts.query}"
        self._headers = {"accept": "text/html"}
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._ended = threading.Event()
        self.pages = 0
        """So many pages it has had."""

    def begin(self) -> None:
        """Get in, see the page once, and go on looking."""
        with self._asked(self._enter) as answer:
            cookie = answer.headers["set-cookie"].partition(";")[0]
        self._headers["cookie"] = cookie
        self._see()
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException), self._asked(LIVE) as said:
                for line in said:
                    if self._ended.is_set():
                        return
                    if line.startswith(b"data:"):
                        self._see()
            self._ended.wait(AGAIN_SECONDS)

    def _see(self) -> None:
        with self._asked(PAGE) as answer:
            if answer.status == 200 and answer.read():
                self.pages += 1

    @contextlib.contextmanager
    def _asked(self, path: str) -> Iterator[http.client.HTTPResponse]:
        with contextlib.closing(http.client.HTTPConnection(self._host, timeout=60)) as connection:
            connection.request("GET", path, headers=self._headers)
            yield connection.getresponse()


class Watched:
    """A dashboard in a process of its own, and who looks at it."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-m", "pgqueue", "dashboard", "--port", "0", "--url", url]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.viewer = Viewer(self._process.stdout.readline().strip())

    @property
    def pid(self) -> int:
        return self._process.pid

    def end(self) -> None:
        """End both."""
        self.viewer.end()
        self._process.terminate()
        try:
            self._process.wait(LEAVING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def watched(url: str) -> Iterator[Watched]:
    """Have the dashboard of the store at *url* looked at until the block ends."""
    found = Watched(url)
    found.viewer.begin()
    try:
        yield found
    finally:
        found.end()
