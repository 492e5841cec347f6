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
from dse.model.manufacture import system_cost
from dse.model.power import system_power
from dse.spec.facility import Facility
from dse.spec.system import System


class Ownership(NamedTuple):
    """Cost of owning one system by part, USD/s."""

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


def price_factor(facility: Facility, basis: tuple[Scalar, Scalar, Scalar]) -> jax.Array:
    """Price of a chip over its cost, from the weights of at-cost, design-partner, merchant."""
    at_cost, partner, merchant = basis
    return jnp.asarray(
        at_cost + partner * facility.partner_margin + merchant * facility.merchant_margin
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


def ownership(
    system: System, facility: Facility, factor: Scalar, average_power: Scalar
) -> Ownership:
    """Cost of owning one system, USD/s.

    `factor` is the price of a chip over its cost (`price_factor`); `average_power` (W, at the
    rack's feed) meters energy, while the building is sized for the provisioned power.
    """
    price = system_cost(system, factor)
    watts = system_power(system).total
    life = facility.server_life
    metered = average_power * facility.power_usage_effectiveness
    return Ownership(
        servers=_instalment(price.total - price.network, life, facility),
        network=_instalment(price.network, life, facility),
        energy=metered * facility.energy_price,
        building=_instalment(watts * facility.capital_price, facility.building_life, facility),
        maintenance=price.total * facility.maintenance,
    )
