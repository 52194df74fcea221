"""Times in buckets, beside the metrics library's own histogram."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from turnout.gateway.local_histogram import LocalHistogram

_BOUNDS = (0.005, 0.1, 1, 10)
_SECONDS = st.sampled_from(_BOUNDS) | st.floats(0, 20)


@given(st.lists(st.tuples(st.sampled_from(["/a", "/b"]), _SECONDS), max_size=30))
def test_it_shows_what_the_librarys_histogram_shows(seen: list[tuple[str, float]]) -> None:
    """To the letter, but for the library's moment of creation."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    times = LocalHistogram("t_seconds", "How long.", "path", _BOUNDS)
    ours.register(times)
    histogram = Histogram("t_seconds", "How long.", ("path",), buckets=_BOUNDS, registry=theirs)
    for path, seconds in seen:
        times.observe(path, seconds)
        histogram.labels(path).observe(seconds)
    lines = [x for x in generate_latest(theirs).splitlines() if b"_created" not in x]
    assert generate_latest(ours).splitlines() == lines
