"""What comes late: an older text, an older recording, a picture of what is shown no longer. Answers are held back."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from .conftest import Open


def held(page: Page, pattern: str) -> list[Any]:
    """Requests that wait until they are let go."""
    waiting: list[Any] = []
    page.route(pattern, lambda route: waiting.append(route))
    return waiting


def until(page: Page, true: Callable[[], bool]) -> None:
    for _ in range(200):
        if true():
            return
        page.wait_for_timeout(50)
    pytest.fail("it did not come")


def type_text(page: Page, text: str) -> None:
    page.fill(".page-text", text)


def tokens(page: Page) -> int:
    return page.locator(".strip-token").count()


def test_the_newest_text_wins_whatever_comes_last(live: str, open_page: Open) -> None:
    page = open_page(live)
    waiting = held(page, "**/api/2/facts")
    type_text(page, "abc")
    until(page, lambda: len(waiting) == 1)
    type_text(page, "bcdea")
    until(page, lambda: tokens(page) == 5)
    waiting[0].continue_()
    page.wait_for_load_state("networkidle")
    assert "key=3" in page.url
    assert tokens(page) == 5
    assert page.input_value(".page-text") == "bcdea"


def test_back_shows_the_text_before_also_in_its_field(live: str, open_page: Open) -> None:
    page = open_page(live)
    first, count = page.input_value(".page-text"), tokens(page)
    type_text(page, "abc")
    until(page, lambda: tokens(page) == 3 and "key=2" in page.url)
    page.go_back()
    until(page, lambda: tokens(page) == count)
    assert page.input_value(".page-text") == first
    page.go_forward()
    until(page, lambda: tokens(page) == 3)
    assert page.input_value(".page-text") == "abc"


def test_an_address_passed_by_is_not_shown_when_it_comes(live: str, open_page: Open) -> None:
    page = open_page(live)
    type_text(page, "abc")
    until(page, lambda: "key=2" in page.url)
    page.reload()  # so that facts are asked for anew
    page.wait_for_selector(".view")
    waiting = held(page, "**/api/1/facts")
    page.evaluate("() => { location.hash = 'key=1'; }")
    until(page, lambda: len(waiting) == 1)
    page.evaluate("() => { location.hash = 'key=2'; }")
    waiting[0].continue_()
    page.wait_for_load_state("networkidle")
    assert tokens(page) == 3


def test_a_file_never_mixes_two_recordings(live: str, open_page: Open) -> None:
    page = open_page(live)
    page.goto(f"{page.url}&view=prediction")
    page.wait_for_selector(".view.prediction table")
    page.click("[data-save=open]")
    waiting = held(page, "**/api/*/proof")
    page.click("[data-save=csv]")
    until(page, lambda: len(waiting) > 0)
    type_text(page, "abc")
    until(page, lambda: tokens(page) == 3)
    changed = page.locator(".save-said:has-text('changed while it was being saved')")

    def let_go() -> bool:
        while waiting:
            waiting.pop().continue_()
        return changed.count() == 1

    until(page, let_go)


def test_points_of_another_layer_are_not_saved_as_this_ones(live: str, open_page: Open) -> None:
    page = open_page(f"{live}&view=space&layer=0")
    page.wait_for_selector(".view.space .space-scatter")
    page.wait_for_load_state("networkidle")
    waiting = held(page, "**/space/stream/1/own/centred")
    page.evaluate("() => { location.hash = 'view=space&layer=1'; }")
    until(page, lambda: len(waiting) == 1)
    page.click("[data-save=open]")
    page.click("[data-save=csv]")
    page.wait_for_selector(".save-said:has-text('not there yet')")
    waiting[0].continue_()


def test_a_number_that_is_being_typed_is_not_overwritten_by_what_comes_meanwhile(live: str, open_page: Open) -> None:
    page = open_page(live)
    page.evaluate("location.hash = 'view=lookup&row=3'")
    field = page.get_by_label("query token")
    until(page, lambda: field.count() == 1 and field.input_value() == "3")
    field.press("Control+A")
    page.keyboard.type("1")
    page.evaluate("location.hash = 'view=lookup&row=2&head=1'")
    page.locator(".view.lookup", has_text="layer 0, head 1").wait_for()
    assert field.input_value() == "1"
    field.press("Enter")
    until(page, lambda: "row=1" in page.url)
    page.evaluate("location.hash = 'view=lookup&row=2&head=1'")
    until(page, lambda: field.input_value() == "2")
