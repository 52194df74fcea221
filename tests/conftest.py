"""Settings that all tests share."""

from hypothesis import settings

# A first call loads tokenizers or tables; how long that takes is a benchmark's business.
settings.register_profile("turnout", deadline=None)
settings.load_profile("turnout")
