"""Pages in a real browser: Debian's chromium, driven by selenium, without a network."""

import contextlib
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

MISSING = [
    name
    for name, there in (
        ("chromium", shutil.which("chromium")),
        ("chromedriver", shutil.which("chromedriver")),
        ("selenium", importlib.util.find_spec("selenium")),
    )
    if not there
]
"""What of a browser this machine lacks."""


@contextlib.contextmanager
def browser(*, dark: bool = False, downloads: Path | None = None) -> Iterator:
    """A headless chromium as a selenium driver. downloads: the folder that it saves into."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in (
            "--headless=new",
            "--no-sandbox",  # chromium refuses to run as root with one
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
        ):
            options.add_argument(argument)
        if downloads is not None:
            options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        try:
            if dark:
                scheme = [{"name": "prefers-color-scheme", "value": "dark"}]
                driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
            yield driver
        finally:
            driver.quit()


def open_page(driver, path: Path, size: tuple[int, int] = (1280, 900)) -> None:
    """Open a page in a window of this size (width, height in CSS pixels); wait until it is ready."""
    from selenium.webdriver.support.ui import WebDriverWait

    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500},
    )
    driver.get(Path(path).resolve().as_uri())
    WebDriverWait(driver, 60).until(
        lambda page: page.execute_script(
            "return document.body?.dataset.ready || document.getElementById('alert')?.hidden === false"
        )
    )


def screenshot(driver, path: Path) -> None:
    """Save what the window shows as PNG."""
    Path(path).write_bytes(driver.get_screenshot_as_png())
