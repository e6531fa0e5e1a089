"""The page of `syncmv4d evaluate --html` in a real browser: it needs no network, sorts, searches, and its videos play."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from syncmv4d_cli.page_films import films_of
from syncmv4d_model.data.sequence import list_sequences, read_sequence, write_sequence
from syncmv4d_model.evaluation.harness import evaluate_method
from syncmv4d_model.evaluation.methods import Predicted
from syncmv4d_model.evaluation.pages.report import write_html
from tests.model.known_error import KnownError
from tests.model.sliding_points import sliding_sequence

TASKS = {"a": "push a box", "b": "stir in a pan", "c": "push <b>the & toy", "d": "pour some", "e": "push it"}
OFF_CM = {"a": 3, "b": 1, "c": 10, "d": 2, "e": 5}
COLUMN = "end_point_error_cm"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    """A browser that has the page open."""
    if importlib.util.find_spec("websockets") is None:
        pytest.skip("websockets is not installed, which drives the browser")
    from tests.chromium import NAMES, chromium_tab, find_chromium

    executable = find_chromium()
    if executable is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the path")
    folder = tmp_path_factory.mktemp("page")
    write_page(folder)
    with chromium_tab(executable, folder / "profile") as tab:
        tab.open(folder / "page.html")
        yield tab


def write_page(folder):
    for name, task in TASKS.items():
        sequence = sliding_sequence(name, triplet=f"({task.split()[0]}, brush, box)")
        write_sequence(folder / "test_1" / name, replace(sequence, task=task))
    folders = list_sequences(folder, "test_1")
    method = Predicted(KnownError([read_sequence(scene) for scene in folders], off))
    report = evaluate_method(method, folder, "test_1")
    write_html(report, folder / "page.html", films_of(report, method, folders, count=1))


def off(truth, seed):
    return {"tracks": truth.positions + np.float32([0, OFF_CM[truth.name] / 100, 0])}


def shown(tab):
    """Names of the sequences in the table, from the top."""
    return tab.value(
        "[...document.querySelectorAll('.sequences tbody tr')].filter(r => !r.hidden).map(r => r.cells[0].textContent)"
    )


def heading(column):
    return f"[...document.querySelectorAll('.sequences th button')].find(b => b.textContent === '{column}')"


def search(tab, words):
    field = "document.querySelector('.tools input[type=search]')"
    tab.value(f"{field}.value = {words!r}; {field}.dispatchEvent(new Event('input'))")
    return tab.value("document.querySelector('.tools output').textContent")


def test_a_click_on_a_heading_sorts_by_number_and_a_second_one_turns_it_round(tab):
    assert shown(tab) == list("abcde")
    tab.value(f"{heading(COLUMN)}.click()")
    assert shown(tab) == list("bdaec")  # 10 is more than 2, though not in the alphabet
    assert tab.value(f"{heading(COLUMN)}.parentElement.getAttribute('aria-sort')") == "ascending"
    tab.value(f"{heading(COLUMN)}.click()")
    assert shown(tab) == list("ceadb")
    assert tab.value("document.querySelectorAll('.sequences th:not([aria-sort=none])').length") == 1


def test_the_keyboard_sorts_too_and_words_are_sorted_as_words(tab):
    tab.value(f"{heading('task')}.focus()")
    tab.press("Enter", 13, "\r")
    assert shown(tab) == list("dcaeb")
    tab.value(f"{heading('sequence')}.focus()")
    tab.press(" ", 32, " ")
    assert shown(tab) == list("abcde")


def test_a_row_without_a_value_is_last_in_both_directions(tab):
    cell = f"document.getElementById('row-b').cells[{heading(COLUMN)}.parentElement.cellIndex]"
    tab.value(f"{cell}.classList.add('missing')")
    for order in ("daecb", "ceadb"):
        tab.value(f"{heading(COLUMN)}.click()")
        assert shown(tab) == list(order)
    tab.value(f"{cell}.classList.remove('missing'); {heading('sequence')}.click()")


def test_the_search_keeps_the_sequences_of_a_task_and_their_mean(tab):
    assert search(tab, "PUSH") == "3 of 5 sequences" and shown(tab) == list("ace")
    foot = f"document.querySelector('.sequences tfoot tr').cells[{heading(COLUMN)}.parentElement.cellIndex].textContent"
    assert float(tab.value(foot)) == pytest.approx(6, rel=1e-2)
    assert search(tab, "push toy") == "1 of 5 sequences" and shown(tab) == ["c"]
    assert search(tab, "") == "5 of 5 sequences"


def test_a_ratio_in_the_last_line_is_that_of_the_means_as_above_in_the_headlines(tab):
    name = "end_point_error_ratio"
    foot = f"document.querySelector('.sequences tfoot tr').cells[{heading(name)}.parentElement.cellIndex].textContent"
    card = f"[...document.querySelectorAll('.card')].find(c => c.textContent.startsWith('{name}'))"
    headline = tab.value(f"{card}.querySelector('.value').firstChild.textContent")
    assert float(tab.value(foot)) == pytest.approx(float(headline), rel=5e-3)


def test_a_dot_leads_to_a_row_that_the_search_had_hidden(tab):
    search(tab, "stir")
    tab.value(
        "document.querySelector('.chart a[href=\"#row-c\"] circle').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    tab.value("new Promise(done => setTimeout(done, 100))")
    assert shown(tab) == list("abcde") and tab.value("location.hash") == "#row-c"


def test_all_columns_are_there_for_who_asks(tab):
    hidden = "[...document.querySelectorAll('.sequences th')].filter(h => h.offsetWidth === 0).length"
    assert tab.value(hidden) > 10
    tab.value("document.querySelector('.tools input[type=checkbox]').click()")
    assert tab.value(hidden) == 0


def test_the_best_and_the_worst_are_shown_as_videos_that_play(tab):
    ready = "Promise.all([...document.querySelectorAll('video')].map(v => v.readyState >= 1 || new Promise(r => v.onloadedmetadata = r)))"
    tab.value(f"{ready}.then(() => 1)")
    films = "[...document.querySelectorAll('figure.film')]"
    assert tab.value(f"{films}.map(f => f.id)") == ["film-b", "film-c"]
    durations = tab.value(f"{films}.map(f => f.querySelector('video').duration)")
    assert durations == pytest.approx([10 * 0.125] * 2, rel=0.05)  # five frames, and the rest on the last one
    assert tab.value(f"{films}.map(f => f.querySelector('video').videoWidth)") == [3 * 192 + 2 * 4] * 2
    moved = "{ const s = document.querySelector('.player input'); s.value = 0.5; s.dispatchEvent(new Event('input')); }"
    tab.value(moved)
    assert tab.value("document.querySelector('video').currentTime") == pytest.approx(0.5)
    assert tab.value("document.querySelector('video').paused")


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(tab, width):
    tab.command("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600)
    assert tab.value("document.documentElement.scrollWidth") <= width


def test_light_and_dark_are_as_the_reader_has_them(tab):
    def paper(scheme):
        tab.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        return tab.value("getComputedStyle(document.body).backgroundColor")

    assert paper("light") == "rgb(255, 255, 255)" and paper("dark") == "rgb(15, 17, 22)"


def test_the_page_complained_of_nothing_and_asked_the_network_for_nothing(tab):
    assert tab.value("document.querySelectorAll('td b').length") == 0  # a task's words are words
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith(("data:", "file:"))] == []
    assert sum(url.startswith("file:") for url in tab.requests) == 1
