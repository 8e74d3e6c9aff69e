"""assets/README.md speaks of the files that are there: each with its size and SHA-256."""

from record_assets import assets, measured, recorded

from helpers.files import ASSETS


def test_every_asset_is_recorded_as_it_is():
    assert recorded((ASSETS / "README.md").read_text()) == measured(assets())
