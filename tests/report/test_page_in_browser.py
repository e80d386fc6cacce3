"""The page of an explained sample in chromium, opened from a file as a user does."""

import random
import re
import time
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from helpers_browser import MISSING, browser, open_page, screenshot
from helpers_pages import LEVELS, genome, page_record

from whatyouread.report.explain_page import NO_SCORE, write_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}"),
]
THRESHOLD = 0.5
MOTIF, SITES = "GAYTACAW", [(30, "+"), (211, "-"), (596, "+")]
"""A motif in IUPAC codes, and where `planted` has it."""


def write(path, records, **options):
    settings = {"sample": "my sample", "levels": LEVELS, "token": 6, "facts": {"window": 600}}
    write_page(path, records, **settings | options)
    return path


def planted() -> object:
    """1,300 bases of G but for the sites, five Ns and a left-over base; a mask that grows by 1 a token."""
    record = page_record(np.random.default_rng(1), "planted", 1303)
    bases = bytearray(b"G" * 1303)
    bases[30:38], bases[211:219], bases[596:604] = b"GATTACAA", b"TTGTAATC", b"GACTACAT"
    bases[1200:1206] = b"NNNNNN"
    record.bases = np.frombuffer(bytes(bases), np.uint8)
    record.mask = np.repeat(np.arange(218, dtype=np.uint8), 6)[:1303]
    record.mask[1200:1206] = NO_SCORE
    record.features = [("CDS", 100, 400, "+", "geneA"), ("tRNA", 700, 776, "-", "trnB")]
    return record


@pytest.fixture(scope="module")
def records():
    rng = np.random.default_rng(7)
    rest = [page_record(rng, f"r{i}", int(rng.integers(20, 4000))) for i in range(1, 36)]
    for i, record in enumerate(rest):
        record.description = "even one" if i % 2 else ""
    return [planted(), *rest]


@pytest.fixture(scope="module")
def path(tmp_path_factory, records):
    return write(tmp_path_factory.mktemp("page") / "index.html", records)


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def driver(downloads):
    with browser(downloads=downloads) as made:
        yield made


@pytest.fixture
def page(driver, path):
    """The page, just opened, 1280 pixels wide."""
    open_page(driver, path)
    yield User(driver)
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


class User:
    """What a user does and sees."""

    def __init__(self, driver):
        self.driver = driver

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def js(self, code, *values):
        return self.driver.execute_script(code, *values)

    def text(self, selector):
        return self.find(selector).text

    def texts(self, selector):
        return self.js(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)",
            selector,
        )

    def until(self, condition, seconds=10):
        """Wait for a condition; its value."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, "the page did not get there"
            time.sleep(0.02)
        return value

    def settle(self):
        """Wait until frames and the cells have been drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0]; setTimeout(() => requestAnimationFrame(() => done()), 120)"
        )

    def click(self, selector):
        self.find(selector).click()
        self.settle()

    def choose(self, selector, text):
        from selenium.webdriver.support.ui import Select

        Select(self.find(selector)).select_by_visible_text(text)
        self.settle()

    def type(self, selector, text, enter=True):
        element = self.find(selector)
        element.clear()
        element.send_keys(text + ("\n" if enter else ""))
        self.settle()

    def press(self, selector, *keys):
        element = self.find(selector)
        self.js("arguments[0].focus()", element)
        element.send_keys(*keys)
        self.settle()

    def threshold(self, value):
        """Move the slider as the browser does."""
        self.js(
            "$('threshold').value = arguments[0];"
            "$('threshold').dispatchEvent(new Event('input', { bubbles: true }))",
            value,
        )
        self.settle()

    def column(self, number):
        return self.texts(f"#table tbody td:nth-child({number})")

    def whole_column(self, number):
        """A column of all pages of the table."""
        cells = self.column(number)
        while True:
            following = self.all("[aria-label='Next sequences']")
            if not following or not following[0].is_enabled():
                return cells
            following[0].click()
            cells += self.column(number)

    def region(self):
        """The positions that are shown, from 1."""
        first, last = self.find("#range").get_attribute("value").replace(",", "").split("-")
        return int(first), int(last)

    def open(self, name):
        self.type("#name-query", name, enter=False)
        [button] = [b for b in self.all("#table td button") if b.text == name]
        button.click()
        self.settle()


def above(mask, threshold):
    scored = mask != NO_SCORE
    return (mask[scored] > threshold * 250).mean()


def percent(value):
    return f"{100 * value:.1f} %"


def keys():
    from selenium.webdriver.common.keys import Keys

    return Keys


def test_it_opens_with_a_table_and_an_overview(page, records):
    assert page.text("#counts").startswith("36 sequences, ")
    assert page.text("#overview-title") == "planted"
    assert page.region() == (1, 1303)
    assert page.column(1) == [record.name for record in records[:10]]
    assert not page.find("#alert").is_displayed()
    assert page.js("return performance.getEntriesByName('ready').length") == 1
    # something is drawn: the canvas has many colours
    colours = page.js(
        "const c = $('canvas'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return new Set(new Uint32Array(d.buffer)).size"
    )
    assert colours > 10


@pytest.mark.parametrize("threshold", [0, 0.3, 0.5, 0.84, 1])
def test_the_threshold_changes_the_shares_and_the_rounded_cells(page, records, threshold):
    page.click("#rounded")
    page.threshold(threshold)
    shares = [percent(above(record.mask, threshold)) for record in records[:10]]
    page.until(lambda: page.column(3) == shares)
    mask = records[0].mask
    assert page.text("#share").startswith(
        f"Above {threshold:.2f}: {shares[0]} of the visible region"
    )
    tokens = np.r_[mask[::6]]
    assert len(page.all("#tokens .none")) == 1
    assert len(page.all("#tokens .on")) == ((tokens > threshold * 250) & (tokens != NO_SCORE)).sum()
    assert (
        len(page.all("#tokens .off")) == ((tokens <= threshold * 250) & (tokens != NO_SCORE)).sum()
    )
    assert page.text("#threshold-value") == f"{threshold:.2f}"


def test_the_slider_obeys_the_keyboard(page, records):
    page.press("#threshold", keys().HOME)
    assert page.text("#threshold-value") == "0.00"
    page.press("#threshold", keys().ARROW_RIGHT)
    assert page.text("#threshold-value") == "0.01"
    page.until(lambda: page.column(3)[0] == percent(above(records[0].mask, 0.01)))


def test_cells_have_the_bases_and_the_mask(page, records):
    record = records[0]
    cells = page.texts("#tokens [role=option]")
    assert len(cells) == 218
    assert "".join(cells) == record.bases.tobytes().decode()
    assert cells[-1] == "G"  # the left-over base
    values = page.js(
        "return [...document.querySelectorAll('#tokens [role=option]')].map("
        "(e) => e.style.getPropertyValue('--m'))"
    )
    assert values[:3] == ["0.000", "0.004", "0.008"]
    assert values[217] == f"{217 / 250:.3f}"
    assert values[200] == ""
    page.choose("#unit", "bases")
    assert "".join(page.texts("#tokens [role=option]")) == record.bases.tobytes().decode()


def test_pages_of_cells(page, records):
    record = max(records, key=lambda one: one.length)
    page.open(record.name)
    text = record.bases.tobytes().decode()
    assert len(text) > 3000
    assert "".join(page.texts("#tokens [role=option]")) == text[:3000]
    page.click("[aria-label='Next tokens']")
    assert "".join(page.texts("#tokens [role=option]")) == text[3000:]
    assert page.texts("#tokens .at")[0] == "3,001"


@pytest.mark.parametrize("level", list(LEVELS))
def test_level_and_class_filter_the_table(page, records, level):
    page.choose("#level", level)
    number = int(records[3].classes[level][0])
    page.choose("#class", LEVELS[level][number])
    whole = [r.name for r in records if r.predicted[level][0] == number]
    assert page.text("#listed") == f"{len(whole)} of 36 sequences"
    assert page.whole_column(1) == whole
    assert set(page.column(5 + list(LEVELS).index(level))) == {LEVELS[level][number]}
    page.choose("#where", "any segment")
    some = [
        r.name for r in records if number in r.classes[level] or r.predicted[level][0] == number
    ]
    assert page.text("#listed") == ("" if len(some) == 36 else f"{len(some)} of 36 sequences")
    assert page.whole_column(1) == some
    page.choose("#class", "all")
    assert page.text("#listed") == ""


def test_a_class_fades_the_other_segments(page, records):
    page.choose("#level", "genus")
    classes = records[0].classes["genus"]
    assert len(set(classes)) > 1
    page.choose("#class", LEVELS["genus"][classes[1]])
    starts = page.js(
        "return [...document.querySelectorAll('#tokens .other')].map((e) => +e.dataset.start)"
    )
    segment = np.arange(0, 1303, 6) // 600
    assert starts == (np.arange(0, 1303, 6)[classes[segment] != classes[1]]).tolist()


def test_cells_can_be_coloured_by_class(page, records):
    page.choose("#level", "genus")
    page.choose("#colour", "predicted class")
    colours = page.js(
        "return [...document.querySelectorAll('#tokens [role=option]:not(.none)')].map("
        "(e) => getComputedStyle(e).backgroundColor)"
    )
    classes = records[0].classes["genus"]
    starts = [start for start in range(0, 1303, 6) if start != 1200]
    wanted = [
        page.js("return explained.colourOf(2, arguments[0])", int(classes[start // 600]))
        for start in (0, 600, 1206)
    ]
    rgb = [
        f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})" for colour in wanted
    ]
    assert colours == [rgb[start // 600] for start in starts]
    page.click("#rounded")
    page.threshold(0.5)
    painted = "return $('tokens').querySelectorAll('[role=option][style*=background]').length"
    mask = records[0].mask
    assert page.js(painted) == (mask[:1200:6] > 125).sum() + (mask[1206::6] > 125).sum()


def test_confidence_is_that_of_the_level(page, records):
    for level in LEVELS:
        page.choose("#level", level)
        assert page.column(4) == [f"{record.predicted[level][1]:.3f}" for record in records[:10]]


@pytest.mark.parametrize(
    ("column", "number", "key"),
    [
        ("name", 1, lambda r: (r.name[0], int(r.name[1:]) if r.name != "planted" else 0)),
        ("length", 2, lambda r: r.length),
        ("share", 3, lambda r: above(r.mask, THRESHOLD)),
        ("confidence", 4, lambda r: r.predicted["domain"][1]),
        ("class-1", 6, lambda r: LEVELS["phylum"][r.predicted["phylum"][0]]),
        ("class-2", 7, lambda r: int(LEVELS["genus"][r.predicted["genus"][0]][5:])),
    ],
)
def test_sorting(page, records, column, number, key):
    text = column == "name" or column.startswith("class")
    for down in (not text, text):
        page.click(f"#table [data-key={column}]")
        head = page.find(f"#table th:nth-child({number})")
        assert head.get_attribute("aria-sort") == ("descending" if down else "ascending")
        expected = sorted(
            records, key=key, reverse=down
        )  # equal ones stay in the order of the file
        assert page.whole_column(1) == [record.name for record in expected]
    assert [h.get_attribute("aria-sort") for h in page.all("#table th")].count("none") == 6


def test_sorting_by_share_follows_the_threshold(page, records):
    page.click("#table [data-key=share]")
    page.threshold(0.9)
    expected = [r.name for r in sorted(records, key=lambda r: -above(r.mask, 0.9))]
    page.until(lambda: page.column(1) == expected[:10])


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("r2", ["r2", *(f"r{i}" for i in range(20, 30))]),
        ("R35", ["r35"]),
        ("even", [f"r{i}" for i in range(2, 36, 2)]),
        ("nothing like it", []),
        ("", None),
    ],
)
def test_search_by_name(page, records, query, wanted):
    page.type("#name-query", query, enter=False)
    assert page.whole_column(1) == (
        [record.name for record in records] if wanted is None else wanted
    )


def test_search_by_motif_on_both_strands(page):
    page.type("#motif", MOTIF.lower())
    assert page.text("#motif-status") == "3 matches."
    names = {"+": "forward", "-": "reverse"}
    assert page.texts("#matches button") == [
        f"planted: {at + 1}–{at + 8}, {names[strand]}" for at, strand in SITES
    ]
    assert page.texts("#matches [aria-current]") == ["planted: 31–38, forward"]
    first, last = page.region()
    assert first <= 31
    assert last >= 38
    assert page.texts("#tokens .found") == ["GATTAC", "AAGGGG"]
    page.click("#match-next")
    assert page.texts("#matches [aria-current]") == ["planted: 212–219, reverse"]
    assert page.texts("#tokens .found") == ["GTTGTA", "ATCGGG"]
    page.click("#match-previous")
    page.click("#match-previous")  # round the end
    assert page.texts("#matches [aria-current]") == ["planted: 597–604, forward"]
    page.choose("#unit", "bases")
    assert "".join(page.texts("#tokens .found")) == "GACTACAT"


@pytest.mark.parametrize(
    ("motif", "said"),
    [
        ("GATTACAX", "X is no IUPAC code of a base."),
        ("GAUUACA", "2 matches."),
        ("TTGTAATC", "2 matches."),
        ("gactacat", "1 match."),
        ("AAAAAAAAAAAA", "0 matches."),
        ("TTAA", "0 matches."),
        ("", ""),
    ],
)
def test_motifs_of_other_kinds(page, motif, said):
    page.type("#motif", motif)
    assert page.text("#motif-status") == said


@pytest.mark.parametrize("motif", ["ACGT", "GANTC", "CCWGG", "TTGAC", "NNNNNNNNNNNNA"])
def test_motifs_in_all_listed_sequences(page, records, motif):
    """Against regular expressions; a palindrome counts once."""
    codes = {"N": "[ACGT]", "W": "[AT]"}
    count = 0
    for record in records:
        text = record.bases.tobytes().decode()
        strands = {motif, motif.translate(str.maketrans("ACGT", "TGCA"))[::-1]}
        for one in strands:
            count += len(re.findall(f"(?={''.join(codes.get(c, c) for c in one)})", text))
    page.choose("#motif-where", "all listed sequences")
    page.type("#motif", motif)
    page.until(lambda: page.text("#motif-status").startswith(f"{count:,} matches in "))


def test_zoom_and_pan_by_buttons(page):
    page.click("#zoom-in")
    first, last = page.region()
    assert (first, last) == (326, 978)  # the middle half, whole bases that are seen
    page.click("#pan-right")
    assert page.region() == (652, 1303)
    page.click("#pan-left")
    assert page.region()[0] == 326
    page.click("#zoom-out")
    assert page.region() == (1, 1303)
    assert not page.find("#zoom-out").is_enabled()
    for _ in range(12):
        if page.find("#zoom-in").is_enabled():
            page.click("#zoom-in")
    first, last = page.region()
    assert 30 <= last - first + 1 <= 31
    page.click("#whole")
    assert page.region() == (1, 1303)


def test_zoom_and_pan_by_the_keyboard(page):
    k = keys()
    page.press("#overview", "+")
    assert page.region() == (326, 978)
    page.press("#overview", k.ARROW_RIGHT)
    assert page.region()[0] == 489
    page.press("#overview", k.ARROW_LEFT, k.ARROW_LEFT)
    assert page.region()[0] == 163
    page.press("#overview", k.HOME)
    assert page.region() == (1, 652)
    page.press("#overview", k.END)
    assert page.region() == (652, 1303)
    page.press("#overview", "-")
    assert page.region() == (1, 1303)
    page.press("#overview", "++", "0")
    assert page.region() == (1, 1303)


def test_zoom_and_pan_by_wheel_and_drag(page):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    box = page.find("#overview")
    page.js("arguments[0].scrollIntoView({ block: 'center' })", box)
    ActionChains(page.driver).scroll_from_origin(ScrollOrigin.from_element(box), 0, -400).perform()
    page.settle()
    first, last = page.region()
    assert last - first + 1 == pytest.approx(1303 / 1.0015**400, abs=2)
    assert (first + last) / 2 == pytest.approx(652, abs=25)  # around the pointer
    ActionChains(page.driver).click_and_hold(box).move_by_offset(-100, 0).release().perform()
    page.settle()
    moved = page.region()
    assert moved[0] - first == pytest.approx(
        100 * (last - first + 1) / (box.size["width"] - 42), abs=2
    )
    ActionChains(page.driver).double_click(box).perform()
    page.settle()
    assert page.region()[1] - page.region()[0] == pytest.approx((last - first) / 2, abs=2)


def test_two_fingers_zoom_and_one_moves(driver, path):
    open_page(driver, path, (360, 740))
    user = User(driver)
    box = user.find("#overview")
    user.js("arguments[0].scrollIntoView({ block: 'center' })", box)
    left, top, width = user.js(
        "const b = arguments[0].getBoundingClientRect(); return [b.left, b.top + 60, b.width]", box
    )
    middle = left + 30 + (width - 42) / 2

    def touch(kind, *places):
        points = [{"x": x, "y": top, "id": i} for i, x in enumerate(places)]
        driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", middle - 30, middle + 30)
    for distance in range(32, 61, 2):
        touch("touchMove", middle - distance, middle + distance)
    touch("touchEnd")
    user.settle()
    first, last = user.region()
    assert last - first + 1 == pytest.approx(1303 / 2, abs=12)
    assert (first + last) / 2 == pytest.approx(652, abs=12)
    touch("touchStart", middle)
    for moved in range(5, 61, 5):
        touch("touchMove", middle - moved)
    touch("touchEnd")
    user.settle()
    # to the right, by 60 pixels less what a touch moves before it counts
    assert 30 < (user.region()[0] - first) * (width - 42) / (last - first + 1) <= 62


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("100-299", (100, 299)),
        ("1,000 - 1,303", (1000, 1303)),
        ("700", (685, 715)),
        ("1-9999", (1, 1303)),
    ],
)
def test_going_to_positions(page, typed, shown):
    page.type("#range", typed)
    first, last = page.region()
    assert (first, last) == pytest.approx(shown, abs=1 if "-" not in typed else 0)


@pytest.mark.parametrize("typed", ["x", "0-5", "9-5", "2000-3000", "1-2-3", "-"])
def test_positions_that_are_none_change_nothing(page, typed):
    before = page.js("return [explained.state.start, explained.state.end]")
    page.type("#range", typed)
    assert page.js("return [explained.state.start, explained.state.end]") == before
    assert not page.js("return $('range').validity.valid")


def test_hover_and_focus_tell_position_bases_and_value(page):
    from selenium.webdriver import ActionChains

    cells = page.all("#tokens [role=option]")
    page.js("arguments[0].scrollIntoView({ block: 'center' })", cells[5])
    ActionChains(page.driver).move_to_element(cells[5]).perform()
    assert page.text("#token-value") == "bases 31–36: GATTAC, mask 0.020"
    page.press("#tokens [tabindex='0']", keys().ARROW_RIGHT)
    assert page.text("#token-value") == "bases 7–12: GGGGGG, mask 0.004"
    k = keys()
    ActionChains(page.driver).send_keys(k.ARROW_DOWN, k.ARROW_DOWN, k.ARROW_UP).perform()
    assert page.text("#token-value") == "bases 67–72: GGGGGG, mask 0.044"
    ActionChains(page.driver).send_keys(k.END).perform()
    assert page.text("#token-value") == "base 1303: G, mask 0.868"
    assert len(page.all("#tokens [tabindex='0']")) == 1
    assert page.find("#tokens [tabindex='0']").get_attribute("aria-label").startswith("base 1303")


def test_hover_over_the_overview(page, records):
    from selenium.webdriver import ActionChains

    box = page.find("#overview")
    page.js("arguments[0].scrollIntoView({ block: 'center' })", box)
    page.type("#range", "701-760")
    plot = box.size["width"] - 42
    offset = round(-box.size["width"] / 2 + 30 + plot * 10.5 / 60)
    ActionChains(page.driver).move_to_element_with_offset(box, offset, 0).perform()
    said = page.text("#overview-value")
    assert said.startswith("position 711 · G · mask 0.472 · domain ")
    assert said.endswith("· tRNA trnB (-)")
    genus = LEVELS["genus"][records[0].classes["genus"][1]]
    assert f"genus {genus} {records[0].probabilities['genus'][1]:.3f}"[:-1] in said
    assert page.find("#cursor").is_displayed()


def test_a_gap_has_no_score(page):
    page.type("#range", "1196-1209")
    labels = [e.get_attribute("aria-label") for e in page.all("#tokens .none")]
    assert labels == ["bases 1201–1206: NNNNNN, no score"]


def saved(page, downloads, button):
    """Press a button, and read and remove the file that comes."""
    page.click(button)
    [found] = page.until(
        lambda: [
            p
            for p in downloads.iterdir()
            if p.name.startswith("my_sample.") and p.suffix in SUFFIXES
        ]
    )
    text = found.read_text(encoding="utf-8")
    found.unlink()
    return text


SUFFIXES = (".fasta", ".bed", ".svg")


def fasta(text):
    return {
        lines[0]: "".join(lines[1:])
        for lines in (entry.splitlines() for entry in text.split(">")[1:])
    }


def spans(record, threshold, start=0, end=None):
    flags = (record.mask > threshold * 250) & (record.mask != NO_SCORE)
    flags[:start] = False
    flags[len(flags) if end is None else end :] = False
    edges = np.flatnonzero(np.diff(flags.astype(int), prepend=0, append=0)).reshape(-1, 2)
    return [(record.name, str(a), str(b)) for a, b in edges]


def test_download_of_the_visible_region(page, downloads, records):
    page.type("#range", "101-500")
    found = fasta(saved(page, downloads, "#download-fasta"))
    assert found == {"planted:101-500": records[0].bases[100:500].tobytes().decode()}
    page.threshold(0.2)
    lines = [line.split("\t") for line in saved(page, downloads, "#download-bed").splitlines()]
    assert [tuple(line[:3]) for line in lines] == spans(records[0], 0.2, 100, 500)
    assert len(lines) == 1
    domain = LEVELS["domain"][records[0].classes["domain"][0]]
    mean = records[0].mask[306:500].mean() / 250
    assert lines[0][1:] == ["306", "500", domain, str(round(1000 * mean)), "."]


def test_download_of_the_listed_sequences(page, downloads, records):
    page.choose("#selection", "all listed sequences")
    page.type("#name-query", "r1", enter=False)
    listed = [r for r in records if r.name.startswith("r1")]
    found = fasta(saved(page, downloads, "#download-fasta"))
    assert found == {
        f"{r.name} {r.description}".strip(): r.bases.tobytes().decode() for r in listed
    }
    lines = [line.split("\t") for line in saved(page, downloads, "#download-bed").splitlines()]
    expected = [span for record in listed for span in spans(record, THRESHOLD)]
    assert [tuple(line[:3]) for line in lines] == expected
    assert page.text("#download-status") == f"my_sample.bed: {len(expected):,} spans"
    page.choose("#level", "genus")
    page.choose("#where", "any segment")
    page.choose("#class", "Genus3")
    lines = [line.split("\t") for line in saved(page, downloads, "#download-bed").splitlines()]
    assert {line[3] for line in lines} <= {"Genus3"}


def test_download_of_the_overview(page, downloads, records):
    root = ET.fromstring(saved(page, downloads, "#download-svg"))
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    assert root.find(f"{space}title").text == "planted, positions 1 to 1303"
    texts = [element.text for element in root.iter(f"{space}text")]
    assert {"mask", "CDS", "tRNA", "geneA", *LEVELS} <= set(texts)
    for level, names in LEVELS.items():
        first = names[records[0].classes[level][0]]
        assert first in texts
    assert len(root.findall(f"{space}polyline")) >= 3
    width, height = (float(root.get(name)) for name in ("width", "height"))
    for rect in root.iter(f"{space}rect"):
        x, y, w, h = (float(rect.get(key, 0)) for key in ("x", "y", "width", "height"))
        assert min(x, y) >= 0
        assert x + w <= width + 1
        assert y + h <= height + 1


def test_names_for_those_who_do_not_see_the_page(page):
    page.type("#motif", "GATTACA")
    for element in page.all(
        "button, input, select, [role=listbox], #overview canvas, [role=region]"
    ):
        if element.is_displayed():
            assert element.accessible_name.strip(), element.get_attribute("outerHTML")


def test_all_can_be_reached_by_tab_and_the_focus_is_seen(page):
    from selenium.webdriver import ActionChains

    page.js("document.activeElement.blur()")
    seen = []
    for _ in range(60):
        ActionChains(page.driver).send_keys(keys().TAB).perform()
        name = page.js(
            "const e = document.activeElement; return e.id || e.className || e.dataset.key || e.tagName"
        )
        if name == "BODY":  # after the last one
            break
        seen.append(name)
        assert page.js("return getComputedStyle(document.activeElement).outlineStyle") != "none", (
            name
        )
    wanted = ["skip", "level", "class", "where", "threshold", "rounded", "name-query", "zoom-in", "range",
              "overview", "unit", "motif", "selection", "download-fasta"]  # fmt: skip
    places = [seen.index(name) for name in wanted]
    assert places == sorted(places)


@pytest.mark.parametrize("name", ["short", "x" * 300])
def test_a_telephone_needs_no_sideways_scrolling(driver, tmp_path, name):
    rng = np.random.default_rng(2)
    records = [page_record(rng, name, 2000), *(page_record(rng, f"s{i}", 900) for i in range(20))]
    records[0].description = "y" * 200
    open_page(driver, write(tmp_path / "page.html", records, sample=name), (360, 740))
    user = User(driver)
    user.settle()
    user.type("#motif", "ANT")
    assert user.js("return document.documentElement.scrollWidth") <= 360
    beyond = user.js(
        "return [...document.querySelectorAll('body *')].filter((e) => !e.closest('.wide')"
        " && !e.closest('.skip') && e.getBoundingClientRect().right > 361).map((e) => e.outerHTML)"
    )
    assert beyond == []
    assert user.find("#canvas").size["width"] <= 360
    screenshot(driver, tmp_path / "telephone.png")


def test_the_dark_scheme(path):
    with browser(dark=True) as driver:
        open_page(driver, path)
        user = User(driver)
        assert (
            user.js("return getComputedStyle(document.body).backgroundColor") == "rgb(22, 25, 28)"
        )
        corner = "return [...$('canvas').getContext('2d').getImageData(2, 40, 1, 1).data]"
        assert user.js(corner) == [22, 25, 28, 255]
        assert driver.get_log("browser") == []


def test_hostile_names_run_nothing(driver, tmp_path):
    names = [
        "</script><script>window.hacked=1</script>", "<img src=x onerror=window.hacked=1>",
        "a&amp;b", "\"'`${window.hacked=1}",
    ]  # fmt: skip
    rng = np.random.default_rng(5)
    records = [page_record(rng, name, 200, description=name) for name in names]
    records[0].features = [(names[1], 0, 100, "+", names[0])]
    levels = {names[1]: [names[0], names[1]]}
    for record in records:
        record.classes, record.probabilities = (
            {names[1]: np.array([1])},
            {names[1]: np.array([0.5])},
        )
        record.predicted = {names[1]: (0, 0.9, 1, 0.1)}
    open_page(driver, write(tmp_path / "page.html", records, sample=names[0], levels=levels))
    user = User(driver)
    user.choose("#class", names[1])
    user.choose("#class", "all")
    user.type("#motif", "A")
    assert user.column(1) == names
    assert user.texts("#legend span:not(.swatch)") == [names[1]]
    assert not user.js("return window.hacked")
    assert user.all("img") == []
    assert driver.get_log("browser") == []


@pytest.mark.parametrize("lengths", [[], [0], [1], [0, 1, 5, 6, 7]])
def test_very_short_sequences_and_none(driver, tmp_path, lengths):
    rng = np.random.default_rng(6)
    records = [page_record(rng, f"s{n}", n) for n in lengths]
    open_page(driver, write(tmp_path / "page.html", records))
    user = User(driver)
    for record in records:
        if len(records) > 1:
            user.open(record.name)
        user.press("#overview", "+", keys().ARROW_LEFT, "-", keys().END)
        user.type("#motif", "N")
        assert user.text("#overview-title") == record.name
        assert "".join(user.texts("#tokens [role=option]")) == record.bases.tobytes().decode()
    assert driver.get_log("browser") == []


def test_strands_that_are_kept_apart(driver, tmp_path):
    rng = np.random.default_rng(8)
    record = page_record(rng, "apart", 600)
    record.mask_minus = 250 - record.mask
    open_page(driver, write(tmp_path / "page.html", [record]))
    user = User(driver)
    assert user.column(3) == [percent(above(record.mask, 0.5))]
    user.choose("#strand", "the reverse strand")
    user.until(lambda: user.column(3) == [percent(above(record.mask_minus, 0.5))])
    value = user.js(
        "return $('tokens').querySelector('[role=option]').style.getPropertyValue('--m')"
    )
    assert value == f"{record.mask_minus[0] / 250:.3f}"


def test_the_pyramid_agrees_with_the_mask(driver, tmp_path):
    """Ranges of all sizes and phases against numpy."""
    rng = np.random.default_rng(9)
    record = page_record(rng, "long", 70_001)
    record.mask = rng.integers(0, 251, 70_001).astype(np.uint8)
    record.mask[20_000:20_300] = NO_SCORE
    open_page(driver, write(tmp_path / "page.html", [record]))
    draw = random.Random(0)
    for _ in range(150):
        start = draw.randrange(70_000) if draw.random() < 0.7 else 19_990 + draw.randrange(300)
        end = min(70_001, start + int(10 ** draw.uniform(0, 4.8)))
        found = driver.execute_script(
            "return explained.pyramids.get(0)[0].range(arguments[0], arguments[1])", start, end
        )
        part = record.mask[start:end]
        part = part[part != NO_SCORE] / 250
        if not len(part):
            assert found is None
        else:
            expected = [part.min(), part.mean(), part.max()]
            assert [found[key] for key in ("low", "mean", "high")] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["genome of 5 Mbp", "1,000 sequences of 1,500 bp"])
def test_how_long_big_pages_take(driver, tmp_path, kind, capsys):
    """Measured, and printed in a run of one process: a time is nothing to fail on. The size of a page is."""
    rng = np.random.default_rng(10)
    if kind.startswith("genome"):
        records = [genome(rng, 5_000_000)]
    else:
        records = [page_record(rng, f"s{i}", 1500, window=1500) for i in range(1000)]
    path = write(tmp_path / "page.html", records)
    open_page(driver, path)
    user = User(driver)
    ready = user.js("return performance.getEntriesByName('ready')[0].duration")
    frames = user.js(
        "const t = []; for (let i = 0; i < 20; i++) { const s = performance.now();"
        " explained.zoom(i < 10 ? 0.5 : 2); explained.drawNow(); t.push(performance.now() - s); } return t"
    )
    size = path.stat().st_size / 1e6
    with capsys.disabled():
        print(
            f"\n{kind}: ready after {ready:.0f} ms, {size:.1f} MB, slowest of 20 zooms {max(frames):.0f} ms"
        )
    assert size < 12
    assert driver.get_log("browser") == []
