"""The part of a widget that runs in the browser: names for its controls, one live region, and looks for both themes.

Works with the front ends of ipywidgets 7.7 (Colab) and 8.1. Neither names the handle of a slider or the buttons of
Play, so a script does. A style sheet starts it, because a browser runs no <script> inside a widget's HTML.
"""

import html

import ipywidgets
from IPython.display import display

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
FALLBACK = (
    "Run this cell to see a widget here. If none appears, install ipywidgets where Jupyter runs "
    "(pip install ipywidgets), then reload the page."
)
# ipywidgets 8 renamed description_tooltip of 7.7.
TOOLTIP = "tooltip" if "tooltip" in ipywidgets.IntSlider.class_trait_names() else "description_tooltip"
CLOSE = {"style": {"description_width": "initial"}}  # puts a description right beside its control
WRAP = {"flex_flow": "row wrap", "width": "100%"}  # controls in one row, or on a narrow screen in several

WIDGET_STYLE = """
.course-widget .frame-pages > .lm-TabBar, .course-widget .frame-pages > .p-TabBar { display: none !important }
.course-widget .frame-pages, .course-widget .widget-tab-contents { background: transparent !important }
.course-widget .widget-tab-contents { padding: 0 !important; border: 0 !important; overflow: visible !important }
.course-widget select { padding-right: 20px !important; background: no-repeat right 9px top 50% / 5px 5px,
  no-repeat right 4px top 50% / 5px 5px !important; background-image:
  linear-gradient(45deg, transparent 50%, currentColor 50%),
  linear-gradient(135deg, currentColor 50%, transparent 50%) !important }
.course-widget .unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
"""
# A scrubber's page in view gives its slider's value in words (the first line) and, once it has stayed for a while, the
# text of the live region: while the frames play, nothing is announced. ipywidgets 7.7 draws its sliders with
# jQuery UI, whose handles have no role; the place of a handle, in percent, is its value.
WIDGET_SCRIPT = """
const root = this.closest(".course-widget");
if (root === null || root.watched) return;
root.watched = true;
const set = (element, name, value) => element.getAttribute(name) === value || element.setAttribute(name, value);
const icons = {"fa-play": "Play", "fa-pause": "Pause", "fa-stop": "Stop", "fa-retweet": "Repeat"};
let seen = null, timer = null;
const look = () => {
  set(root, "role", "group");
  set(root, "aria-label", this.dataset.label);
  for (const message of root.querySelectorAll(".course-message")) set(message, "role", "status");
  for (const [icon, name] of Object.entries(icons))
    for (const drawn of root.querySelectorAll("button ." + icon)) {
      set(drawn.closest("button"), "aria-label", name);
      set(drawn.closest("button"), "title", name);
    }
  const text = [...root.querySelectorAll(".frame-text")].find((page) => page.offsetParent !== null)?.innerText ?? "";
  for (const handle of root.querySelectorAll(".noUi-handle, .ui-slider-handle")) {
    const slider = handle.closest(".widget-slider"), readout = slider.querySelector(".widget-readout");
    const own = readout !== null && readout.offsetParent !== null;
    set(handle, "aria-label", slider.querySelector("label").textContent);
    set(handle, "aria-valuetext", own ? readout.textContent : text.split("\\n")[0]);
    if (handle.matches(".noUi-handle")) continue;
    const value = String(Math.round(parseFloat(handle.style.left) || 0));
    for (const [name, known] of [["role", "slider"], ["aria-valuemin", "0"], ["aria-valuemax", "100"],
      ["aria-valuenow", value]]) set(handle, name, known);
  }
  const status = root.querySelector(".frame-status");
  if (status === null || text === "" || text === seen) return;
  clearTimeout(timer);
  const say = () => { status.textContent = text.replaceAll("\\n", ", "); };
  if (seen !== null) timer = setTimeout(say, +this.dataset.wait);
  seen = text;
};
look();
new MutationObserver(look).observe(root, {subtree: true, childList: true, characterData: true,
  attributeFilter: ["class", "style", "aria-valuetext"]});
"""


def heading(label: str, wait: int | None = None) -> ipywidgets.HTML:
    """The first child of a widget: its label, the style sheet, and the script that names the widget's controls.

    With `wait`, the widget gets a live region, which says the text of the page in view after so many milliseconds.
    Without, a child of class `course-message` is the live region.
    """
    script, escaped = html.escape(WIDGET_SCRIPT.strip()), html.escape(label)
    style = f'<style data-label="{escaped}" data-wait="{wait or 0}" onload="{script}">{WIDGET_STYLE}</style>'
    status = "" if wait is None else '<div class="frame-status unseen" role="status"></div>'
    return ipywidgets.HTML(f"{style}<strong>{escaped}</strong>{status}")


class Shown:
    """Something with a `widget`, which a cell that ends in it displays."""

    widget: ipywidgets.Widget

    def _ipython_display_(self) -> None:
        # A front end that knows widgets shows the view alone. Others show the text.
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        display({WIDGET_VIEW: view, "text/plain": FALLBACK}, raw=True)
