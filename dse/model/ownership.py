"""What it costs to own a system, per second: capital recovered over its life, energy, building.

Every capital sum is repaid in equal instalments over its life (capital recovery factor), so
that a dollar per second is the same thing for a server, a building and a kilowatt-hour. The
cost runs whether the system earns or not: utilisation divides the work, not the cost.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dse.model.guard import Scalar, ratio
from dse.model.manufacture import Markup, system_cost
from dse.model.power import system_power
from dse.spec.facility import Facility
from dse.spec.system import System


class Ownership(NamedTuple):
    """Cost of owning one system by part, USD/s; `building` is rent where power is colocated."""

    servers: Scalar
    network: Scalar
    energy: Scalar
    building: Scalar
    maintenance: Scalar

    @property
    def capital(self) -> jax.Array:
        """Servers and network, USD/s."""
        return jnp.asarray(self.servers + self.network)

    @property
    def operating(self) -> jax.Array:
        """Energy, building and maintenance, USD/s."""
        return jnp.asarray(self.energy + self.building + self.maintenance)

    @property
    def total(self) -> jax.Array:
        """Capital and operating cost, USD/s."""
        return self.capital + self.operating


class Economy(NamedTuple):
    """What a fleet of one kind yields for its money and power; SI.

    tokens_per_watt: tokens/s for a watt at the facility's meter, provisioned; tokens_per_capital:
    tokens/s for a dollar of servers, network and building; usd_per_byte and usd_per_flop: USD for
    a byte of memory traffic and for a dense BF16 FLOP of the arrays, both at their peak;
    usd_per_watt: dollars of servers, network and building for a watt at the meter.
    """

    tokens_per_watt: Scalar
    tokens_per_capital: Scalar
    usd_per_byte: Scalar
    usd_per_flop: Scalar
    usd_per_watt: Scalar


def price_factor(facility: Facility, basis: tuple[Scalar, Scalar, Scalar]) -> Markup:
    """Price of a chip over its cost, from the weights of at-cost, design-partner, merchant.

    A vendor's margin is on what it makes; memory that it buys in has one of its own. Weights that
    sum to less than one stand for a whole system that is paid at that share of its price.
    """
    at_cost, partner, merchant = basis
    return Markup(
        made=jnp.asarray(at_cost + partner * facility.partner_margin),
        merchant=jnp.asarray(merchant),
        margin=jnp.asarray(facility.merchant_margin),
        memory=jnp.asarray(at_cost + (partner + merchant) * facility.memory_margin),
        rest=jnp.asarray(at_cost + partner + merchant),
    )


def recovery(life: Scalar, facility: Facility) -> jax.Array:
    """Capital recovery factor of a life in seconds: instalment of one period over the principal.

    `CRF = r / (1 - (1 + r)^-n)` over n compounding periods (the annuity formula).
    """
    periods = ratio(life, facility.compounding_period)
    # 1e-6: at no interest the factor is 1 / n
    rate = jnp.maximum(facility.cost_of_capital, 1e-6)
    return ratio(rate, -jnp.expm1(-periods * jnp.log1p(rate)))


def _instalment(price: Scalar, life: Scalar, facility: Facility) -> jax.Array:
    """USD/s that repay a price over a life."""
    return ratio(price * recovery(life, facility), facility.compounding_period)


def dollars(system: System, facility: Facility) -> jax.Array:
    """The facility's dollars for a dollar of the system's prices; one where a year is missing."""
    known = jnp.minimum(jnp.asarray(system.dollar_year), facility.dollar_year) > 0
    years = jnp.where(known, facility.dollar_year - system.dollar_year, 0.0)
    # no more than a century: a slip of the pen must not overflow
    return jnp.exp(jnp.clip(years, -100.0, 100.0) * jnp.log1p(facility.inflation))


def fleet_price(system: System, facility: Facility, markup: Markup) -> jax.Array:
    """Servers, network and, unless power is rented, the building of one system, USD."""
    owned = jnp.where(jnp.asarray(facility.colocation_price) > 0, 0.0, facility.capital_price)
    building = system_power(system).total * owned
    return system_cost(system, markup).total * dollars(system, facility) + building


def ownership(
    system: System, facility: Facility, factor: Markup, average_power: Scalar
) -> Ownership:
    """Cost of owning one system, USD/s.

    `factor` is the price of a chip over its cost (`price_factor`); `average_power` (W, at the
    rack's feed) meters energy, while the building is sized, or rented, for the provisioned power.
    """
    price = system_cost(system, factor)
    year = dollars(system, facility)
    watts = system_power(system).total
    life = facility.server_life
    metered = average_power * facility.power_usage_effectiveness
    built = _instalment(watts * facility.capital_price, facility.building_life, facility)
    rented = jnp.asarray(facility.colocation_price) > 0
    return Ownership(
        servers=_instalment((price.total - price.network) * year, life, facility),
        network=_instalment(price.network * year, life, facility),
        energy=metered * facility.energy_price,
        building=jnp.where(rented, watts * facility.colocation_price, built),
        maintenance=price.total * year * facility.maintenance,
    )


def economy(
    system: System, facility: Facility, factor: Markup, cost: Ownership, tokens_per_s: Scalar
) -> Economy:
    """What one system yields for its money and power, from its cost and tokens a second."""
    chips = system.chips
    metered = system_power(system).total * facility.power_usage_effectiveness
    capital = fleet_price(system, facility, factor)
    flops = 2.0 * system.chip.cell_rate * system.chip.die.core.array.rates.bf16
    return Economy(
        tokens_per_watt=ratio(tokens_per_s, metered),
        tokens_per_capital=ratio(tokens_per_s, capital),
        usd_per_byte=ratio(cost.total, chips * system.chip.memory.bandwidth),
        usd_per_flop=ratio(cost.total, chips * flops),
        usd_per_watt=ratio(capital, metered),
    )
