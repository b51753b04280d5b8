"""The application of the campaign; its worker processes are killed again and again."""

from __future__ import annotations

import os

from pgqueue import App
from pgqueue.bridges import amqp

app = App(os.environ.get("CAMPAIGN_STORE"), name="campaign")
out = app.outlet("out", amqp.Exchange("", url="env:CAMPAIGN_AMQP", timeout=5))
