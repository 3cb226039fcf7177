"""The page in headless Chromium: scores and why, items, traffic, errors, a token, text that is no markup, no jumps."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from serve.http.application import Application
from serve.scorer import Scorer
from tests.serve import chromium
from tests.serve.chromium import Tab
from tests.serve.http.served import served
from tests.serve.http.test_page_routes import HTML, TOKEN, items
from tests.serve.tiny_model import REQUEST

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.FOUND is None, reason="no Chromium; on Debian: apt-get install chromium"),
]
__all__ = ["items"]  # the fixture
SHIFTS = """window.shift = 0; new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true })"""


def text(selector: str) -> str:
    return f"document.querySelector({selector!r}).textContent"


def click(selector: str) -> str:
    return f"document.querySelector({selector!r}).click()"


Work = Callable[[Tab, str, Application], Awaitable[None]]


def seen(scorer: Scorer, folder: Path, work: Work, **settings: Any) -> Tab:
    """Do ``work`` with a browser and an address; fail where the page ran into an error."""

    async def run() -> Tab:
        async with served(scorer, **settings) as server, chromium.chromium(folder) as tab:
            await tab.size(1180, 900)
            await work(tab, f"http://127.0.0.1:{server.port}", server.application)
            return tab

    return asyncio.run(run())


def test_candidates_are_scored_and_explained(scorer, items, tmp_path):
    wanted = scorer.score(**REQUEST)

    async def work(tab: Tab, url: str, _: Application) -> None:
        await tab.open(url)
        await tab.run(SHIFTS)
        assert await tab.run("document.getElementById('context').querySelector('[name=history]').value") == "1 2 3 59"
        assert await tab.run("document.querySelectorAll('.candidate').length") == 3
        await tab.run(click("#request .main"))
        await tab.until("document.querySelector('details[open]')")
        scores = await tab.run("[...document.querySelectorAll('.result b')].map((b) => b.textContent)")
        assert scores == [f"{100 * score:.2f} %" for score in wanted.scores.tolist()]
        bars = await tab.run("document.querySelector('.tiers').children.length")
        assert bars == scorer.model.manifest.model.modality_config("text").num_tiers
        assert "vectors: text" in await tab.run(text(".parts")) and "user id" in await tab.run(text(".parts"))
        # another request than the one that was scored has no scores
        await tab.run("document.querySelector('.columns input').dispatchEvent(new Event('input', {bubbles: true}))")
        assert await tab.run("document.querySelectorAll('.result b').length") == 0
        await tab.run("document.getElementById('new').value = '2 3'; " + click("#add"))
        await tab.until("document.querySelectorAll('.candidate').length === 5")
        # the title of item 3 is markup, and is shown as it is
        assert await tab.run("[...document.querySelectorAll('.name b')].map((b) => b.textContent)") == [
            "blue", "item 6", "item 7", "Red bag", HTML,
        ]  # fmt: skip
        assert await tab.run("document.querySelectorAll('img[src=x]').length") == 0
        await tab.until("document.querySelectorAll('.candidate .row .thumb img').length === 2")
        await tab.run("document.getElementById('sorted').checked = true; " + click("#request .main"))
        await tab.until("document.querySelectorAll('.result b').length === 5")
        shares = await tab.run("[...document.querySelectorAll('.result b')].map((b) => parseFloat(b.textContent))")
        assert shares == sorted(shares, reverse=True)
        assert await tab.run("window.shift") < 0.1, "what is seen jumps"
        assert await tab.run("document.getElementById('problem').hidden")

    assert seen(scorer, tmp_path, work, items=(items,)).problems == []


def test_errors_are_told_where_they_can_be_read(scorer, tmp_path):
    async def work(tab: Tab, url: str, _: Application) -> None:
        await tab.open(url)
        await tab.run(
            "document.querySelectorAll('.candidate .columns input')[1].value = ''; " + click("#request .main")
        )
        await tab.until("!document.getElementById('problem').hidden")
        assert "is empty" in await tab.run(text("#problem"))
        await tab.run("document.querySelector('[name=user]').value = '9223372036854775808'; " + click("#example"))
        await tab.until("document.getElementById('problem').hidden")
        await tab.run("document.querySelector('[name=user]').value = '9223372036854775808'; " + click("#request .main"))
        await tab.until("!document.getElementById('problem').hidden")
        assert "column 'user': got id 9223372036854775808" in await tab.run(text("#problem"))  # whole, as it was typed
        await tab.run("location.hash = '#items/x'")
        await tab.until("document.getElementById('problem').textContent.includes('no id')")

    problems = seen(scorer, tmp_path, work).problems
    assert all("400" in problem for problem in problems) and len(problems) == 1


def test_items_are_looked_up_and_used(scorer, items, tmp_path):
    async def work(tab: Tab, url: str, _: Application) -> None:
        await tab.open(f"{url}/#items")
        await tab.run("document.getElementById('words').value = 'red'; " + click("#look .main"))
        await tab.until("document.querySelectorAll('#found a').length === 2")
        await tab.run(click("#found a"))
        await tab.until("document.querySelectorAll('#item .cards a').length === 40")
        assert await tab.run(text("#item h2")) == "Red bag"
        facts = await tab.run(text("#item .facts"))
        assert "clicks1" in facts and "embeddingtrained" in facts and "vector of imagethere" in facts
        await tab.run("[...document.querySelectorAll('#item button')].at(-1).click()")
        await tab.until("location.hash === '#score'")
        assert await tab.run("document.querySelector('[name=history]').value") == "1 2 3 59 2"
        await tab.run("location.hash = '#items'; document.getElementById('most').value = 'clicks'")
        await tab.run("document.getElementById('most').dispatchEvent(new Event('change'))")
        await tab.until("document.querySelectorAll('#found a').length === 4")
        assert "clicks 4" in await tab.run(text("#found a"))
        await tab.run("document.getElementById('words').value = 'no such'")
        await tab.run(click("#look .main"))
        await tab.until("document.getElementById('found-state').textContent.includes('Nothing is called')")

    assert seen(scorer, tmp_path, work, items=(items,)).problems == []


def test_traffic_and_a_new_version_are_seen(scorer, tmp_path):
    async def work(tab: Tab, url: str, application: Application) -> None:
        await tab.size(390, 844, dark=True)
        await tab.open(f"{url}/#traffic")
        for _ in range(3):
            how = "{method: 'POST', body: '{}', headers: {'Content-Type': 'application/json'}}"
            await tab.run(f"fetch('/v1/score', {how}).then(() => 1)")
        await tab.until("document.getElementById('statuses').textContent.includes('4003')")
        await tab.run("document.getElementById('model').textContent = ''")
        application._metrics.version("000007", swapped=True)
        await tab.until("document.getElementById('now-version').textContent === '7'")
        await tab.until("document.getElementById('model').textContent.includes('x, step 1')")  # asked for anew
        assert await tab.run("document.documentElement.scrollWidth") <= 390, "a phone scrolls sideways"

    assert all("400" in problem for problem in seen(scorer, tmp_path, work).problems)


def test_a_token_is_asked_for_once(scorer, tmp_path):
    async def work(tab: Tab, url: str, _: Application) -> None:
        await tab.call("Page.navigate", url=url)
        await tab.until("document.getElementById('ask')?.open")
        await tab.run(f"document.getElementById('token').value = {TOKEN!r}; " + click("#ask .main"))
        await tab.until("document.body.hasAttribute('data-ready')")
        await tab.open(f"{url}/#items")
        assert not await tab.run("document.getElementById('ask').open")

    assert all("401" in problem for problem in seen(scorer, tmp_path, work, token=TOKEN).problems)
