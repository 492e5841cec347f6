"""Facilities: where a system stands, what its power and capital cost."""

from __future__ import annotations

from dse.spec.fields import Named, count, number, part, quantity, spec

PRICE_BASES = ("at-cost", "design-partner", "merchant")


@spec()
class Reliability:
    """How often parts stop a training job, and what a stop costs; mean times of 0: never.

    A chip, host, switch or network with an `mtbf` of its own has that one instead.
    """

    chip: float = quantity("h", "mean time between failures of one accelerator, memory included")
    host: float = quantity("h", "mean time between failures of one host")
    network: float = quantity(
        "h", "mean time between failures of one chip's card, cable, optics, share of switches"
    )
    switch: float = quantity("h", "mean time between failures of one scale-up switch chip")
    restart: float = quantity("min", "from a failure until a job runs again, loading apart")
    checkpoint_bandwidth: float = quantity(
        "GB/s", "storage bandwidth of one host, for checkpoints", low=1.0, default=1e9
    )


@spec("facility")
class Facility(Named):
    """Power, capital, carbon, reliability of a data centre, and the margins of each price basis."""

    power_usage_effectiveness: float = number("facility power over IT power", low=1.0, high=5.0)
    energy_price: float = quantity("USD/kWh", "price of electricity")
    capital_price: float = quantity("USD/W", "building, power and cooling per watt of IT power")
    building_life: float = quantity("year", "life of the building", low=1.0)
    colocation_price: float = quantity(
        "USD/(kW*month)", "rent of provisioned power; above 0 it replaces the building's capital"
    )
    server_life: float = quantity("year", "life of the servers", low=1.0)
    cost_of_capital: float = number("interest per compounding period", low=1e-4)
    compounding_period: float = quantity("year", "period of the interest", low=1.0)
    maintenance: float = quantity("%/year", "spares and labour over server price", high=1.0)
    utilisation: float = number("share of its life in which a server earns", low=0.01)
    grid_carbon: float = quantity("g/kWh", "carbon of the electricity")
    package_carbon: float = quantity("g", "carbon of a package beyond its dies and memory")
    partner_margin: float = number(
        "price over cost of what a design partner makes", low=1.0, high=100.0
    )
    merchant_margin: float = number(
        "price over cost of what a merchant vendor makes", low=1.0, high=100.0
    )
    memory_margin: float = number(
        "price over cost of the memory that a partner or vendor buys in", low=1.0, high=100.0
    )
    dollar_year: float = count("year whose dollars the costs are in; 0 converts nothing", high=3000)
    inflation: float = number("growth of prices in a year, between two dollars", high=0.2)
    reliability: Reliability = part(Reliability, "failures of training jobs, checkpoints")
