"""Open a notebook in a real JupyterLab in a real browser, for the browser test and for the sliders' latency.

Needs Chromium (`apt-get install chromium`) and the package `playwright`, which drives it.
"""

import json
import math
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat

if TYPE_CHECKING:
    from playwright.sync_api import Page

COURSE = Path(__file__).resolve().parents[2]
SETTINGS = {
    # Cells that are scrolled out of sight stay in the page, so that all of them can be looked at.
    "notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
# The id of the notebook's kernel if it is connected and idle. Until then JupyterLab may show "idle" without a kernel.
IDLE_KERNEL = """async () => {
  const [session] = await (await fetch("/api/sessions")).json();
  const kernel = session?.kernel;
  return kernel?.connections > 0 && kernel.execution_state === "idle" ? kernel.id : null;
}"""
CHROMIUM_FLAGS = [
    "--disable-background-networking",  # no updates, no metrics: the browser contacts nobody else
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
]


class BrowserUnavailable(RuntimeError):
    """Chromium or playwright is missing; the message says what to install."""


def find_chromium() -> str:
    """The path of the installed Chromium. Raises `BrowserUnavailable` if it, or playwright, isn't installed."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        raise BrowserUnavailable("playwright isn't installed; pip install -r tests/requirements.txt") from None
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise BrowserUnavailable("Chromium isn't installed; apt-get install chromium")
    return found


@contextmanager
def open_browser() -> Iterator["Page"]:
    """An empty page of a headless Chromium, 1280 x 900."""
    chromium = find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=False, args=CHROMIUM_FLAGS)
        try:
            yield browser.new_page(viewport={"width": 1280, "height": 900})
        finally:
            browser.close()


def free_ports(count: int) -> list[int]:
    """Ports of this machine on which nobody listens."""
    servers = [
        socket.create_server(("127.0.0.1", 0)) for _ in range(count)
    ]  # all open at once, so that no port comes twice
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


def _wait_until_it_answers(server: subprocess.Popen, address: str, log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab didn't start; its log ends with: {log.read_text(encoding='utf-8')[-500:]}")


def _without_outputs(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


@contextmanager
def serve_notebook(notebook: Path, seconds: float = 120, *, outputs: bool = False) -> Iterator[str]:
    """Start JupyterLab on a copy of the notebook, beside the course's `helpers`; yield the address of its folder.

    Without `outputs` the copy has none, so whatever the page shows later was made there. The server listens on a free
    port of this machine alone, asks for a token, reads nobody's settings, and ends with the block.
    """
    token, (port,) = secrets.token_hex(16), free_ports(1)
    with tempfile.TemporaryDirectory() as temporary:
        root, home = Path(temporary) / "course", Path(temporary) / "jupyter"
        (root / "notebooks").mkdir(parents=True)
        copy = root / "notebooks" / notebook.name
        shutil.copy(notebook, copy)
        if not outputs:
            nbformat.write(_without_outputs(nbformat.read(notebook, as_version=4)), copy)
        try:
            (root / "helpers").symlink_to(COURSE / "helpers")
        except OSError:  # Windows allows links to administrators alone
            shutil.copytree(COURSE / "helpers", root / "helpers")
        for name, setting in SETTINGS.items():
            file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(setting), encoding="utf-8")
        own = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "runtime"}
        lab = {"SETTINGS_DIR": "settings", "WORKSPACES_DIR": "workspaces"}
        folders = {f"JUPYTER_{name}": str(home / place) for name, place in own.items()}
        folders |= {f"JUPYTERLAB_{name}": str(home / place) for name, place in lab.items()}
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
        options = {"ServerApp.port": port, "ServerApp.port_retries": 0, "ServerApp.root_dir": root}
        command += [f"--{name}={value}" for name, value in (options | {"IdentityProvider.token": token}).items()]
        log = Path(temporary) / "log"
        with log.open("w", encoding="utf-8") as output:
            server = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | folders, cwd=root)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_it_answers(server, f"{address}/api", log, seconds)
            yield f"{address}/lab/tree/notebooks?token={token}"
        finally:
            server.terminate()  # it ends its kernels first
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def wait_for_kernel(page: "Page", seconds: float = 120) -> None:
    """Wait until one kernel has been connected and idle for three seconds: a cell that is run before is lost.

    Not with `page.wait_for_function`, which takes the promise of an async function for its result.
    """
    started, kernel, since = time.monotonic(), None, 0.0
    while kernel is None or time.monotonic() - since < 3:
        if time.monotonic() - started > seconds:
            raise RuntimeError(f"no kernel was ready in {seconds:.0f} s")
        now = page.evaluate(IDLE_KERNEL)
        if now != kernel:
            kernel, since = now, time.monotonic()
        page.wait_for_timeout(250)


def run_all_cells(page: "Page", address: str, seconds: float = 900) -> None:
    """Open the notebook, run all its cells from the menu, as a reader would, and wait until the last has run.

    Raises `RuntimeError` with the error's text if a cell fails.
    """
    page.goto(address)
    file = page.locator(".jp-DirListing-item", has_text=".ipynb")
    file.wait_for(timeout=60_000)
    # Not by its address: a notebook opened while JupyterLab is still starting may get two kernels, and lose one.
    page.wait_for_timeout(3_000)
    file.dblclick()
    page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for(timeout=60_000)
    wait_for_kernel(page)
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    error = page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]')
    deadline, asked, asleep_since = time.monotonic() + seconds, 0, -math.inf
    while time.monotonic() < deadline:
        if error.count():
            raise RuntimeError(f"a cell failed: {error.first.inner_text()}")
        if page.locator(".jp-Dialog").count():
            raise RuntimeError(f"JupyterLab asks a question: {page.locator('.jp-Dialog').first.inner_text()}")
        # "[ ]:" before a cell is asked to run, "[*]:" until it has run, then "[3]:"; nothing while the page is redrawn.
        texts = prompts.all_inner_texts()
        left = [text for text in texts if not re.fullmatch(r"\[\d+\]:", text)]
        if texts and not left:
            return
        if "[*]:" in texts:
            asleep_since = time.monotonic()
        elif time.monotonic() - asleep_since > 5 and asked < 5:
            # Sometimes JupyterLab drops the request, or all of it but the first cell. Then we ask again.
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            asked, asleep_since = asked + 1, time.monotonic()
        page.wait_for_timeout(250)
    raise RuntimeError(f"the notebook didn't finish in {seconds:.0f} s: {len(left)} cells are left")


@contextmanager
def executed_in_jupyterlab(notebook: Path) -> Iterator["Page"]:
    """The page of a notebook in which all cells have run."""
    with serve_notebook(notebook) as address, open_browser() as page:
        run_all_cells(page, address)
        yield page
