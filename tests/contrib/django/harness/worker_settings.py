"""The settings of a worker beside the tests: the database is the one that they have made."""

from harness.settings import *  # noqa: F403
from harness.settings import DATABASES

DATABASES["default"]["NAME"] = DATABASES["default"]["TEST"]["NAME"]
