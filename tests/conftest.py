"""Settings that all tests share."""

import os
import tempfile

from hypothesis import settings

# What tests record stays out of the user's own ledger; a folder of its own for each worker.
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="turnout-tests-")

# A first call loads tokenizers or tables; how long that takes is a benchmark's business.
settings.register_profile("turnout", deadline=None)
settings.load_profile("turnout")
