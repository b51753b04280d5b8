"""What a test asks of a store."""

import pytest

needs = pytest.mark.needs
