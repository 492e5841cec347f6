"""The bill of materials of shipped systems as `dse show` prints it."""

from __future__ import annotations

import pytest

from dse.report.derived import figures
from dse.spec import Catalog, System, load

CATALOG = Catalog.default()


@pytest.mark.parametrize("name", ["gb200-nvl72", "rainier"])
def test_lines_are_quantity_times_price_and_add_up(name: str) -> None:
    """Every line but the total is so many at so much; of several domains, all of them."""
    bill = dict(
        figures(load(System, name, CATALOG), "system", CATALOG)["bill_of_materials_at_cost"]
    )
    total = bill.pop("total")["value"]
    assert sum(line["value"] for line in bill.values()) == pytest.approx(total, rel=1e-6)
    for line, entry in bill.items():
        if line != "assembly":
            assert entry["quantity"] * entry["price"] == pytest.approx(entry["value"]), line


def test_gb200_has_the_parts_that_are_published() -> None:
    """72 GPUs, 36 Grace, 18 switches, 2,592 lanes; Bernstein's 345, 341 and 195 kUSD of parts."""
    groups = figures(load(System, "gb200-nvl72", CATALOG), "system", CATALOG)
    bill = groups["bill_of_materials_at_cost"]
    quantities = {name: bill[name]["quantity"] for name in ("chips", "hosts", "switches")}
    assert quantities == {"chips": 72.0, "hosts": 36.0, "switches": 18.0}
    assert bill["copper_lanes"]["quantity"] == 72 * 36
    assert "far_lanes" not in bill

    def together(*names: str) -> float:
        return float(sum(bill[name]["value"] for name in names))

    assert together("hosts", "host_memory") == pytest.approx(345e3, rel=2e-3)
    assert together("network_cards", "network") == pytest.approx(341e3, rel=2e-3)
    assert together("racks", "cooling", "power_supplies") == pytest.approx(195e3)
    assert together("switches", "copper_lanes") == pytest.approx(287e3, rel=5e-3)


def test_prices_rise_from_cost_to_merchant() -> None:
    """All three price bases are shown; at cost the system's price is its bill."""
    groups = figures(load(System, "gb200-nvl72", CATALOG), "system", CATALOG)
    prices = groups["prices"]
    asked = [
        prices[f"system_{basis}"]["value"] for basis in ("at_cost", "design_partner", "merchant")
    ]
    assert asked == sorted(asked)
    assert asked[0] == pytest.approx(groups["bill_of_materials_at_cost"]["total"]["value"])
