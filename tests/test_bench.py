"""The bench judges its own figures rightly; what it measures is measured by `make bench`."""

from __future__ import annotations

from collections import Counter

import pytest

from bench import __main__ as bench
from bench.crowd import as_felt
from bench.figures import Figure, percentile, table
from bench.pages import beyond, milliseconds_of


def test_a_bound_that_is_kept_passes_and_one_that_is_missed_fails() -> None:
    """The bound itself is still kept; the statistic is held against it, not each value."""
    values = (1.0, 2.0, 9.0)
    assert Figure("f", values, "s", bound=2.0).result == "pass"
    assert Figure("f", values, "s", "max", bound=8.9).result == "FAIL"
    assert Figure("f", values, "s", "max").result == ""


def test_the_99th_percentile_is_a_value_that_was_measured() -> None:
    """One of a hundred may be worse; of fewer none."""
    assert percentile(range(1, 101), 99) == 99
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0


def test_a_stall_counts_for_all_who_would_have_waited() -> None:
    """A timer that came 3 ms late stands for those due 1 and 2 ms later, too."""
    assert as_felt([0.003]) == pytest.approx([0.003, 0.002, 0.001])
    assert as_felt([0.0005]) == [0.0005]


def test_time_counts_where_a_function_of_ours_is_on_the_stack() -> None:
    """What it calls counts, who called it does not, nor what else runs."""
    urls = {1: "", 2: "lab.js", 3: "ours/a.js", 4: "lab.js", 5: "lab.js"}
    calls = {1: [2, 5], 2: [3], 3: [4]}
    nodes = [
        {"id": number, "callFrame": {"url": url}, "children": calls.get(number, [])}
        for number, url in urls.items()
    ]
    profile = {
        "nodes": nodes,
        "samples": [2, 3, 4, 5, 3],
        "timeDeltas": [9000, 100, 200, 400, 800],
    }
    assert milliseconds_of(profile, "ours/") == pytest.approx(0.6)
    assert milliseconds_of(profile, "theirs/") == 0


def test_what_only_one_page_sends_is_beyond_the_other() -> None:
    """A poll that another also does may come once or twice more, not more often."""
    plain = Counter({"GET /api/kernels": 30})
    assert beyond(plain, Counter({"GET /api/kernels": 32})) == {}
    assert beyond(plain, Counter({"GET /api/kernels": 33})) == {"GET /api/kernels": 3}
    assert beyond(plain, Counter({"GET /api/ours": 1})) == {"GET /api/ours": 1}


def test_the_exit_code_says_whether_a_bound_was_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each figure is printed with its bound and its fate, and all in a Markdown table."""
    kept = Figure("kept", (1.0,), "s", bound=2.0)
    missed = Figure("missed", (3.0, 5.0), "ms", bound=2.0, compared="plain 1 ms")
    monkeypatch.setattr(
        bench, "GROUPS", {"a": lambda quick: iter([kept]), "b": lambda quick: iter([missed])}
    )
    assert bench.main(["a"]) == 0
    assert bench.main(["a", "b", "--quick"]) == 1
    told = capsys.readouterr().out
    assert "FAIL missed: median 4 ms (bound 2 ms)" in told
    assert table([kept, missed]) in told


def test_a_group_that_does_not_exist_is_refused() -> None:
    """A typing error measures nothing and says so."""
    with pytest.raises(SystemExit) as refused:
        bench.main(["lattness"])
    assert refused.value.code == 2
