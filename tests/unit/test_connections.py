"""What kind of connection did the caller hand us?"""

from __future__ import annotations

import subprocess
import sys


def test_a_blocking_session_needs_no_greenlet() -> None:
    script = (
        "import sys; sys.modules['greenlet'] = None\n"
        "from sqlalchemy.orm import Session\n"
        "from pgqueue.connections import is_async\n"
        "assert not is_async(Session())\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
