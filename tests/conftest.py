"""What holds for all tests."""

import os

from hypothesis import settings

# CI judges a change, so it asks the same questions every time; at a desk the examples differ from run to run.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
