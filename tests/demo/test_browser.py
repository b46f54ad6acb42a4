"""The page in a browser without a screen: Debian's chromium and chromium-driver, driven by selenium.

apt-get install chromium chromium-driver; pip install selenium
pytest -m slow tests/demo/test_browser.py; screenshots in out/demo
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path

import pytest

from semcom.demo.photos import as_png

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromedriver"), reason="chromium-driver is not installed"),
]
_SECONDS = 300
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
]


@pytest.fixture(scope="module")
def server():
    from semcom.demo.server import DemoServer
    from semcom.demo.studio import Studio

    served = DemoServer(Studio(), 0)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.shutdown()


@pytest.fixture
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*_FLAGS, f"--user-data-dir={profile}", "--window-size=1280,1500"):
            options.add_argument(flag)
        options.binary_location = shutil.which("chromium")
        driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        driver.set_page_load_timeout(_SECONDS)
        driver.set_script_timeout(_SECONDS)
        yield driver
        driver.quit()


def _until(browser, script):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, _SECONDS).until(lambda driver: driver.execute_script(f"return {script}"))


_SETTLED = "!inFlight && !dirty && last !== null"


def _picture(browser) -> str:
    return browser.execute_script("return document.getElementById('right').src")


def _turn(browser, slider, value):
    browser.execute_script(
        "const s = document.getElementById(arguments[0]); s.value = arguments[1];"
        "s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change'))",
        slider,
        value,
    )


def test_upload_slide_paint_and_switch_off(server, browser, small_photo, tmp_path):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    shots = Path("out/demo")
    shots.mkdir(parents=True, exist_ok=True)
    browser.get(server.url)
    _until(browser, "controls !== undefined && document.getElementById('channel').options.length > 5")
    file = browser.find_element(By.ID, "file")

    svg = tmp_path / "..name.svg"
    svg.write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>document.title='owned'</script></svg>")
    file.send_keys(str(svg))
    _until(browser, "!document.getElementById('error').hidden")
    sentence = browser.find_element(By.ID, "error").text
    assert "not a picture" in sentence and str(tmp_path) not in sentence and browser.title == "semcom"

    photo = tmp_path / "<img src=x onerror=alert(1)>.png"
    photo.write_bytes(as_png(small_photo))
    _turn(browser, "amount", 0.15)
    file.send_keys(str(photo))
    _until(browser, _SETTLED)
    first = _picture(browser)
    assert browser.find_element(By.ID, "error").text == ""
    browser.save_screenshot(str(shots / "first.png"))

    _turn(browser, "snr_db", -10)
    _until(browser, _SETTLED)
    assert _picture(browser) != first
    browser.save_screenshot(str(shots / "low_snr.png"))
    _turn(browser, "snr_db", 10)
    _until(browser, _SETTLED)

    browser.find_element(By.CSS_SELECTOR, "[value=paint]").click()
    canvas = browser.find_element(By.ID, "canvas")
    ActionChains(browser).move_to_element(canvas).click_and_hold().move_by_offset(30, 20).release().perform()
    _until(browser, _SETTLED)
    assert browser.execute_script("return painted.flat().some(Boolean)")
    browser.save_screenshot(str(shots / "painted.png"))

    browser.find_element(By.CSS_SELECTOR, "[data-stream=hci]").click()
    _until(browser, _SETTLED + " && last.notes.join().includes('switched off')")
    assert _picture(browser) != first

    browser.find_element(By.CSS_SELECTOR, "[data-stream=hci]").click()
    _until(browser, _SETTLED)
    browser.find_element(By.ID, "sweep").click()
    _until(browser, "document.querySelectorAll('#curves circle').length >= 6")
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    browser.save_screenshot(str(shots / "sweep_dark.png"))
    browser.set_window_size(390, 1400)
    wide = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    browser.save_screenshot(str(shots / "phone.png"))
