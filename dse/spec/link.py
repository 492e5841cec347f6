"""Links: one lane of a chip-to-chip connection, and the cable it needs."""

from __future__ import annotations

from dse.spec.fields import Named, count, derived, number, quantity, reference, spec


@spec("link")
class Link(Named):
    """One lane, per direction: rate, energy, die edge, price of copper and of what goes further."""

    rate: float = quantity("GB/s", "payload and protocol bytes per lane and direction")
    efficiency: float = number("share of the rate that is left for payload", low=0.05)
    energy: float = quantity("pJ/bit", "energy of a bit in the two SerDes of a lane")
    shoreline: float = quantity("mm", "die edge of a lane")
    area: float = quantity("mm2", "die area of a lane's SerDes; it does not shrink with the node")
    controller: float = quantity("MTr", "a lane's share of its controller, logic of the die's node")
    latency: float = quantity("us", "one hop, end to end, without a switch", low=1e-12)
    copper_price: float = quantity("USD", "connector and copper of a lane inside a rack")
    far_price: float = quantity("USD", "active cable or optics of a lane that leaves the rack")
    far_energy: float = quantity("pJ/bit", "extra energy of a bit that leaves the rack")


@spec()
class Attachment:
    """The lanes of one chip."""

    link: Link = reference(Link, "kind of lane")
    lanes: float = count("active lanes of a chip", high=100_000)
    built: float = count("lanes on the dies; 0 for as many as are active", high=100_000)

    @derived("GB/s")
    def bandwidth(self) -> float:
        """Bytes per second and direction of one chip, before protocol."""
        return self.lanes * self.link.rate
