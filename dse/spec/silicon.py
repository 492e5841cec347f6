"""Process nodes and what is built on them: arrays, cores, dies."""

from __future__ import annotations

from dse.spec.fields import Named, count, derived, flag, number, part, quantity, reference, spec


@spec("node")
class Node(Named):
    """A process node: density, defects, wafer price, energy, and the V/f curve of its logic."""

    logic_density: float = quantity("MTr/mm2", "peak logic density", low=1e11)
    placement: float = number("share of the peak density that placed logic reaches", low=0.05)
    mac_area: float = quantity("um2", "a BF16 multiply-accumulate cell with FP32 accumulation")
    lane_control: float = quantity("MTr", "sequencing and operand delivery of one SIMT lane")
    wiring: float = number(
        "wires, clocks, control and on-chip network over the area of cores and SRAM", high=5.0
    )
    uncore_area: float = quantity(
        "mm2", "host interface, management, path to memory: on each die with memory interfaces"
    )
    sram_bit_area: float = quantity("um2/bit", "high-density SRAM bit cell")
    sram_efficiency: float = number("share of a large SRAM macro that is bit cells", low=0.05)
    sram_macro: float = quantity("KiB", "size of a macro with half of that share")
    silicon_carbon: float = quantity("kg/cm2", "carbon of a processed wafer, by area")
    wafer_price: float = quantity("USD", "a processed wafer")
    wafer_diameter: float = quantity("mm", "wafer diameter", low=0.05)
    edge_exclusion: float = quantity("mm", "unusable rim of the wafer")
    scribe: float = quantity("mm", "saw street between dies")
    defect_density: float = quantity("1/cm2", "defects per area, D0")
    clustering: float = number("alpha of the negative binomial yield", low=0.1, high=1000.0)
    reticle: float = quantity(
        "mm2", "largest die that one exposure prints; 429 mm2 with High-NA lenses; 0 for no limit"
    )
    design_cost: float = quantity("USD", "one-time engineering of a die design, without masks")
    mask_cost: float = quantity("USD", "one set of masks")
    flop_energy: float = quantity(
        "pJ/FLOP",
        "a BF16 FLOP in an array's cell at the nominal voltage, clock and control included",
    )
    sram_energy: float = quantity("pJ/bit", "a bit read from or written to a large SRAM")
    leakage: float = quantity("W/mm2", "leakage at its temperature and the nominal voltage")
    leakage_temperature: float = quantity(
        "K", "junction temperature of that leakage", low=1.0, default=358.0
    )
    leakage_rise: float = quantity(
        "K", "temperature rise that multiplies leakage by e", low=1.0, default=25.0
    )
    clock: float = quantity("GHz", "clock of a systolic array at the nominal voltage", low=1e6)
    voltage: float = quantity("V", "nominal voltage", low=0.1, high=2.0)
    threshold_voltage: float = quantity("V", "threshold of the alpha-power law", low=0.01, high=1.0)
    minimum_voltage: float = quantity("V", "lowest supply", low=0.1, high=2.0)
    maximum_voltage: float = quantity("V", "highest supply", low=0.1, high=2.0)


@spec()
class Rates:
    """Operations of one array cell in one cycle, by precision, in multiples of its BF16 rate."""

    fp32: float = number("FP32", high=16.0)
    bf16: float = number("BF16 or FP16", low=0.01, high=16.0, default=1.0)
    fp8: float = number("FP8, MXFP8 or INT8", high=64.0)
    fp4: float = number("native FP4; 0 where FP4 is upconverted", high=256.0)


@spec()
class Array:
    """A systolic array, or the equivalent of a GPU's matrix units: rows x columns cells."""

    rows: float = count("cells along the contraction", low=1, high=4096)
    columns: float = count("cells along the outputs", low=1, high=4096)
    load: float = count("stationary elements that each row takes in a cycle", low=1, high=4096)
    accumulator: float = quantity("KiB", "SRAM of partial sums below one column")
    rates: Rates = part(Rates, "operations per cell and cycle by precision")

    @derived("1")
    def cells(self) -> float:
        """Multiply-accumulate cells."""
        return self.rows * self.columns


@spec()
class Vector:
    """The engines beside the array: elementwise arithmetic and exponentials."""

    lanes: float = count("lanes per core")
    operations: float = quantity("FLOP", "FP32 operations per lane and cycle", high=64.0)
    exponentials: float = number("exponentials per lane and cycle", high=64.0)
    simt: float = flag("the lanes run threads (a GPU's): schedulers, operand collectors, caches")
    clock: float = quantity("GHz", "clock of these engines")

    @derived("TFLOP/s")
    def flops(self) -> float:
        """FP32 FLOP/s of one core."""
        return self.lanes * self.operations * self.clock


@spec()
class Core:
    """A compute core: arrays, vector engines and private SRAM. `count` is physical, per die."""

    spare: float = count("cores fused off, to harvest dies with defects")
    clock: float = quantity("GHz", "clock of the arrays", low=1e6, high=1e10)
    arrays: float = count("arrays per core", low=1)
    array: Array = part(Array, "one array")
    vector: Vector = part(Vector, "vector, scalar and special-function engines")
    sram: float = quantity("MiB", "private SRAM of one core")
    control_transistors: float = quantity(
        "MTr", "published logic of one core beside lanes, arrays and the node's wiring"
    )
    # last: in the class body it hides the function of that name
    count: float = count("physical cores on a die", low=1)

    @derived("1")
    def enabled(self) -> float:
        """Cores in use on a die: count - spare."""
        return self.count - self.spare

    @derived("1")
    def cells(self) -> float:
        """Multiply-accumulate cells of one core."""
        return self.arrays * self.array.cells


@spec()
class DieToDie:
    """The link between two dies of a package, per die and direction."""

    bandwidth: float = quantity("TB/s", "bytes per direction across one die's edge")
    energy: float = quantity("pJ/bit", "energy of a bit")
    density: float = quantity("GB/s/mm", "bandwidth of a millimetre of edge", low=1e9)
    depth: float = quantity("mm", "how far the interface reaches into the die behind that edge")


@spec()
class Die:
    """One compute die."""

    node: Node = reference(Node, "process node")
    area: float = quantity("mm2", "published area; 0 derives it from the parts")
    core: Core = part(Core, "the cores")
    sram: float = quantity("MiB", "SRAM shared by all cores of the die")
    overhead_area: float = quantity("mm2", "what is published beside the node's uncore")
    interconnect_share: float = number(
        "wires, control and network over core and SRAM area; 0 takes the node's", high=5.0
    )
    single_exposure: float = flag("the die must fit one reticle", default=1.0)
    die_to_die: DieToDie = part(DieToDie, "link to the neighbour die")

    @derived("1")
    def enabled_cells(self) -> float:
        """Multiply-accumulate cells in use."""
        return self.core.enabled * self.core.cells

    @derived("MiB")
    def sram_bytes(self) -> float:
        """SRAM of the enabled cores and the shared SRAM."""
        return self.core.enabled * self.core.sram + self.sram


@spec()
class IoDie:
    """The dies beside or below the compute dies, and which share of the interfaces they take.

    What the compute dies declare (shared SRAM) and what the chip declares (memory, lanes) is the
    package's; the shares say how much of it stands here instead of on the compute dies.
    """

    node: Node = reference(Node, "process node, mostly an older one")
    area: float = quantity("mm2", "published area of one; 0 derives it from the parts")
    sram: float = number("share of the compute dies' shared SRAM that stands here")
    memory: float = number("share of the memory interfaces and of the uncore that stands here")
    links: float = number("share of the scale-up lanes that stands here")
    overhead_area: float = quantity("mm2", "what is published beside the node's uncore, on each")
    die_to_die: DieToDie = part(DieToDie, "link to the neighbour I/O dies")
    beneath: float = flag("the compute dies stand on these, so that they take no interposer")
    # last: in the class body it hides the function of that name
    count: float = count("I/O dies in the package; 0 where there are none", high=64)
