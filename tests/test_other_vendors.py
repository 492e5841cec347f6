"""Chips and systems of AWS, Huawei, Meta, Microsoft, Cambricon, Cerebras and OpenAI.

Each row has a figure multiplied out by hand, what is published, how far apart the two may be, and
where it is published; the spec's parts must give the first.
"""

from __future__ import annotations

import pytest
from shipped import chip, system

from dse.model import fabric, floorplan, manufacture, power, rules
from dse.model.pytree import lower
from dse.spec import Chip

GIB, PETA = 2.0**30, 1e15

CHIPS = (
    "inferentia1 inferentia2 graviton4 ascend-910c mtia-v2 mtia-400 maia-100 maia-200 mlu590 "
    "wse-3 openai-xpu"
)
TRAINIUMS = "trainium1 trainium2 trainium3 trainium4"
SYSTEMS = (
    "inf1-24xlarge inf2-48xlarge r8g-metal-48xl rainier ultracluster-100k cloudmatrix384 "
    "atlas-800t-a3 mtia-v2-rack minerva maia-100-server maia-200-server maia-200-cluster "
    "mlu590-server cs-3 openai-xpu-rack"
)


def peak(made: Chip, precision: str) -> float:
    """FLOP/s multiplied out from dies, cores, cells, clock and rate."""
    core = made.die.core
    cells = made.dies * (core.count - core.spare) * core.arrays * core.array.rows
    return 2.0 * cells * core.array.columns * core.clock * getattr(core.array.rates, precision)


def figure(made: Chip, what: str) -> float:
    """A headline figure from the parts, SI."""
    stack = made.memory.stack
    if what == "bandwidth":
        return made.memory.stacks * stack.width * stack.rate
    if what == "capacity":
        return made.memory.stacks * stack.capacity
    if what == "scale_up":
        return made.scale_up.lanes * made.scale_up.link.rate
    if what == "vector":
        core = made.die.core
        lanes = made.dies * core.enabled * core.vector.lanes
        return lanes * core.vector.operations * core.vector.clock
    if what == "sram":
        return made.dies * (made.die.core.enabled * made.die.core.sram + made.die.sram)
    return peak(made, what)


NEURON = "AWS Neuron SDK docs, 2026-08-21"
CLOUDMATRIX = "Zuo et al., arXiv:2506.12708"
META_2024 = "Meta, Our next-generation MTIA, 2024-04-10"
META_2026 = "Meta at Hot Chips 2026"
MAIA_100 = "Microsoft, Inside Maia 100, Hot Chips 2024"
MAIA_200 = "Microsoft, Maia 200, Hot Chips 2026"
OPENAI = "OpenAI at Hot Chips 2026"

# name, figure, by hand, published, tolerance, citation
ROWS: list[tuple[str, str, float, float, float, str]] = [
    ("inferentia1", "bf16", 2 * 4 * 128 * 64 * 0.976e9, 64e12, 0.001, f"{NEURON}, inferentia.rst"),
    ("inferentia1", "bandwidth", 2 * 64 * 3.125e9 / 8, 50e9, 1e-6, f"{NEURON}, inferentia.rst"),
    ("inferentia1", "capacity", 2 * 4 * GIB, 8 * GIB, 1e-6, f"{NEURON}, inferentia.rst"),
    ("inferentia1", "scale_up", 16 * 1e9, 32e9 / 2, 1e-6, f"{NEURON}, inf1-arch.rst, both ways"),
    # 768 operations a cycle and core
    ("inferentia1", "vector", 4 * 768 * 0.976e9, 4 * 768e9, 0.03, f"{NEURON}, at 1 GHz"),
    # the published 190 add vector and scalar engines
    ("inferentia2", "bf16", 2 * 2 * 128**2 * 2.8e9, 190e12, 0.04, f"{NEURON}, inferentia2.rst"),
    ("inferentia2", "fp8", 2 * 2 * 128**2 * 2.8e9, 190e12, 0.04, f"{NEURON}, inferentia2.rst"),
    ("inferentia2", "bandwidth", 2 * 1024 * 3.2e9 / 8, 820e9, 0.002, f"{NEURON}, inferentia2.rst"),
    ("inferentia2", "capacity", 2 * 16 * GIB, 32 * GIB, 1e-6, f"{NEURON}, inferentia2.rst"),
    ("inferentia2", "scale_up", 32 * 3e9, 192e9 / 2, 1e-6, "AWS EC2 Inf2 page, both ways"),
    # four 128-bit pipes of BFMMLA: 4 x 16 products a cycle and core; no FLOP/s are published
    ("graviton4", "bf16", 2 * 96 * 64 * 2.8e9, 34.4e12, 0.001, "Arm BFMMLA; WikiChip, Graviton4"),
    ("graviton4", "bandwidth", 12 * 64 * 5.6e9 / 8, 537.6e9, 1e-6, "WikiChip, Graviton4"),
    ("graviton4", "capacity", 12 * 64 * GIB, 768 * GIB, 1e-6, "AWS, r8g.metal-48xl / 2"),
    ("graviton4", "scale_up", 3 * 16 * 4e9, 192e9, 1e-6, "WikiChip: three CCIX links of x16"),
    # 752 add the vector cores' 2 x 22 TFLOP/s in FP16
    ("ascend-910c", "bf16", 2 * 2 * 24 * 16**3 * 1.8e9, 752e12, 0.06, CLOUDMATRIX),
    ("ascend-910c", "bf16", 2 * 2 * 24 * 16**3 * 1.8e9, 2 * 353.9e12, 1e-3, "Ascend/msmodeling"),
    ("ascend-910c", "vector", 2 * 24 * 256 * 1.8e9, 2 * 11e12, 0.01, "Ascend/msmodeling"),
    ("ascend-910c", "bandwidth", 8 * 1024 * 3.125e9 / 8, 3.2e12, 1e-6, CLOUDMATRIX),
    ("ascend-910c", "capacity", 8 * 16 * GIB, 128 * GIB, 1e-6, CLOUDMATRIX),
    ("ascend-910c", "scale_up", 2 * 7 * 28e9, 392e9, 1e-6, CLOUDMATRIX),
    ("mtia-v2", "bf16", 2 * 64 * 1024 * 1.35e9, 177e12, 0.001, META_2024),
    ("mtia-v2", "vector", 64 * 32 * 1.35e9, 2.76e12, 0.002, META_2024),
    ("mtia-v2", "bandwidth", 4 * 64 * 6.4e9 / 8, 204.8e9, 1e-6, "Meta at Hot Chips 2024"),
    ("mtia-v2", "capacity", 4 * 32 * GIB, 128 * GIB, 1e-6, META_2024),
    ("mtia-v2", "scale_up", 8 * 4e9, 32e9, 1e-6, f"{META_2024}: PCIe 5 x 8"),
    ("mtia-v2", "sram", (256 + 64 * 0.375) * 2**20, 280 * 2**20, 1e-6, f"{META_2024}: 256 + 24 MB"),
    ("mtia-400", "bf16", 2 * 96 * 4 * 48**2 * 1.7e9, 3 * PETA, 0.005, META_2026),
    ("mtia-400", "fp8", 4 * 96 * 4 * 48**2 * 1.7e9, 6 * PETA, 0.005, META_2026),
    ("mtia-400", "fp4", 8 * 96 * 4 * 48**2 * 1.7e9, 12 * PETA, 0.005, META_2026),
    ("mtia-400", "bandwidth", 8 * 1024 * 9.2e9 / 8, 9.4e12, 0.003, META_2026),
    ("mtia-400", "capacity", 8 * 36 * GIB, 288 * GIB, 1e-6, META_2026),
    ("mtia-400", "scale_up", 12 * 8 * 12.5e9, 1.2e12, 1e-6, META_2026),
    ("maia-100", "bf16", 2 * 64 * 16**3 * 1.526e9, 800e12, 0.001, MAIA_100),
    ("maia-100", "fp8", 2 * 64 * 16**3 * 1.526e9 * 1.875, 1500e12, 0.001, f"{MAIA_100}: 9-bit"),
    ("maia-100", "fp4", 2 * 64 * 16**3 * 1.526e9 * 3.75, 3000e12, 0.001, f"{MAIA_100}: 6-bit"),
    ("maia-100", "bandwidth", 4 * 1024 * 3.516e9 / 8, 1.8e12, 0.001, MAIA_100),
    ("maia-100", "capacity", 4 * 16 * GIB, 64 * GIB, 1e-6, MAIA_100),
    ("maia-100", "scale_up", 9 * 4 * 12.5e9, 600e9 * 9 / 12, 1e-6, f"{MAIA_100}: 12 x 400GbE"),
    ("maia-100", "sram", (244 + 64 * 4) * 2**20, 500 * 2**20, 1e-6, MAIA_100),
    ("maia-200", "bf16", 2 * 36 * 8192 * 2.15e9, 1268e12, 0.001, MAIA_200),
    ("maia-200", "fp8", 8 * 36 * 8192 * 2.15e9, 5072e12, 0.001, MAIA_200),
    # 65,536 FP4 multiply-accumulates a cycle and tile
    ("maia-200", "fp4", 2 * 36 * 65536 * 2.15e9, 10145e12, 0.001, "Xu et al., arXiv:2608.24664"),
    ("maia-200", "bandwidth", 6 * 1024 * 9.115e9 / 8, 7e12, 0.001, MAIA_200),
    ("maia-200", "capacity", 6 * 36 * GIB, 216 * GIB, 1e-6, MAIA_200),
    ("maia-200", "scale_up", 20 * 4 * 12.5e9, 1.4e12 * 20 / 28, 1e-6, f"{MAIA_200}: 28 ports"),
    ("maia-200", "sram", (164 + 36 * 3) * 2**20, 272 * 2**20, 1e-6, MAIA_200),
    ("mlu590", "bf16", 2 * 48 * 2048 * 1.6e9, 312e12, 0.01, "press: in the class of an A100"),
    ("mlu590", "bandwidth", 6 * 1024 * 3.125e9 / 8, 2.4e12, 1e-6, "compilation, weak"),
    ("mlu590", "capacity", 6 * 16 * GIB, 98304 * 2**20, 1e-6, "management software of MLU590-M9"),
    # 125 PFLOP/s are marketed, eight times the dense peak
    ("wse-3", "bf16", 2 * 900_000 * 8 * 1.085e9, 125 * PETA / 8, 0.001, "Cerebras, 2024-03-13"),
    ("wse-3", "bandwidth", 900_000 * 24 * 1e9, 21.6 * PETA, 1e-6, "Cerebras at Hot Chips 2026"),
    ("wse-3", "capacity", 44e9, 900_000 * 48 * 1024, 0.01, "Cerebras, 2024-03-13"),
    ("wse-3", "sram", 900_000 * 48 * 1024, 44e9, 0.01, "Cerebras, 2024-03-13"),
    ("openai-xpu", "fp8", 2 * 64 * 8192 * 1.6e9 * 2, 3.4 * PETA, 0.015, f"{OPENAI}, MXFP8"),
    ("openai-xpu", "fp4", 2 * 64 * 8192 * 1.6e9 * 8, 13.4 * PETA, 0.002, f"{OPENAI}, MXFP4"),
    ("openai-xpu", "bandwidth", 6 * 2048 * 10e9 / 8, 15.4e12, 0.003, OPENAI),
    ("openai-xpu", "capacity", 6 * 36 * GIB, 216 * GIB, 1e-6, OPENAI),
    ("openai-xpu", "scale_up", 24 * 25e9, 600e9, 1e-6, f"{OPENAI}: local domain"),
]


def row_name(row: object) -> str:
    """A test's name."""
    return f"{row[0]}-{row[1]}" if isinstance(row, tuple) else str(row)


@pytest.mark.parametrize("row", ROWS, ids=row_name)
def test_figures_follow_from_parts_and_meet_what_is_published(
    row: tuple[str, str, float, float, float, str],
) -> None:
    """Dies x cores x cells x 2 x clock, stacks x pins x rate, lanes x rate."""
    name, what, by_hand, published, tolerance, citation = row
    assert figure(chip(name), what) == pytest.approx(by_hand, rel=1e-6)
    assert by_hand == pytest.approx(published, rel=tolerance), citation


@pytest.mark.parametrize("name", CHIPS.split())
def test_the_spec_sums_as_the_parts_do(name: str) -> None:
    """What the language and the model read is the product of the parts."""
    made = chip(name)
    for precision in ("fp32", "bf16"):
        assert made.matrix_peak(precision) == pytest.approx(peak(made, precision))
    assert made.memory.bandwidth == pytest.approx(figure(made, "bandwidth"))
    assert made.scale_up.bandwidth == pytest.approx(figure(made, "scale_up"))


@pytest.mark.parametrize("name", CHIPS.split())
def test_announced_figures_are_met_or_left_out(name: str) -> None:
    """What a chip announces is what its parts give; zero where nothing is published."""
    made = chip(name)
    for what in ("bf16", "fp8", "fp4", "bandwidth", "capacity", "scale_up"):
        if announced := getattr(made.announced, what):
            assert 0.9 < figure(made, what) / announced < 1.01, what


def test_int8_gives_nothing_to_fp8() -> None:
    """Chips that double INT8 only run FP8 at the rate of BF16."""
    for name in ("inferentia1", "graviton4", "ascend-910c", "mtia-v2", "mlu590", "wse-3"):
        made = chip(name)
        assert made.die.core.array.rates.fp8 == 0
        assert made.matrix_peak("fp8") == made.matrix_peak("bf16")


def test_inferentia2_is_trainium_with_half_of_its_links() -> None:
    """Same die, memory and peaks; two ports in place of four."""
    made, base = chip("inferentia2"), chip("trainium1")
    assert made.die == base.die
    assert made.memory == base.memory
    assert made.scale_up.lanes == base.scale_up.lanes / 2
    assert made.power == base.power


# ---------------------------------------------------------------- silicon


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("ascend-910c", 665.61),  # photographs of a 910B, Tom's Hardware, 2025-02
        ("mtia-v2", 421.0),  # Meta, 2024-04-10: 25.6 mm x 16.4 mm
        ("maia-100", 820.0),  # Microsoft, Hot Chips 2024
        ("maia-200", 820.0),  # Microsoft, Hot Chips 2026
        ("wse-3", 46225.0),  # Cerebras, 2024-03-13
        # not the OpenAI XPU: its cores are our projection, and their parts come to 1.5 reticles
    ],
)
def test_parts_fill_the_published_die(name: str, published: float) -> None:
    """The sum of the parts comes within 15 % of the published area, which the model takes."""
    made = lower(chip(name))
    assert chip(name).die.area == pytest.approx(published * 1e-6)
    total = float(floorplan.die_parts(made).total)
    assert total == pytest.approx(published * 1e-6, rel=0.15)
    assert float(floorplan.die_area(made)) == pytest.approx(published * 1e-6, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("inferentia2", 200),  # analyst's supply-chain table
        ("ascend-910c", 700),  # Epoch AI
        ("mtia-v2", 90),  # Meta, 2024-04-10
        ("mtia-400", 1200),  # Meta, 2026-03-11
        ("maia-100", 700),  # designed for 700 W, 500 W provisioned
        ("maia-200", 750),  # Microsoft, Hot Chips 2026
        ("wse-3", 17000),  # CS-3 less conversion and pumps
        ("openai-xpu", 700),
    ],
)
def test_a_published_design_power_stands(name: str, published: float) -> None:
    """The model takes what is published; what the parts ask for is held against it elsewhere."""
    assert chip(name).power == published
    assert float(power.design_power(lower(chip(name)))) == pytest.approx(published)


def test_a_wafer_makes_one_wafer_size_die() -> None:
    """The smooth count of dies gives one; the die is stitched from many exposures."""
    made = lower(chip("wse-3"))
    assert float(manufacture.gross_dies(made.die.node, made.die.area)) == pytest.approx(1, rel=0.02)
    assert not chip("wse-3").die.single_exposure
    # spares cover the defects: 970,000 cores, 20 expected defects, 32 counted (Cerebras, 2025-01)
    assert made.die.area * made.die.node.defect_density == pytest.approx(23, rel=0.01)
    assert chip("wse-3").die.core.spare > manufacture.MAXIMUM_SPARE > 23


@pytest.mark.parametrize("name", SYSTEMS.split())
def test_products_on_sale_break_no_rule(name: str) -> None:
    """Reticle, die edge, interposer, rack power and voltage leave a margin."""
    made = lower(system(name))
    found = rules.margins(made)
    assert {rule: float(left) for rule, left in found.items() if float(left) < 0} == {}


# ---------------------------------------------------------------- systems


@pytest.mark.parametrize(
    ("name", "what", "by_hand", "published", "tolerance", "citation"),
    [
        ("inf1-24xlarge", "bf16", 16 * 63.96e12, 1024e12, 0.002, f"{NEURON}, inf1-arch.rst"),
        ("inf1-24xlarge", "bandwidth", 16 * 50e9, 0.8e12, 1e-6, f"{NEURON}, inf1-arch.rst"),
        ("inf1-24xlarge", "capacity", 16 * 8 * GIB, 128 * GIB, 1e-6, f"{NEURON}, inf1-arch.rst"),
        ("inf2-48xlarge", "bf16", 12 * 183.5e12, 2280e12, 0.04, "AWS EC2 Inf2 page: 2.28 PFLOP/s"),
        ("inf2-48xlarge", "bandwidth", 12 * 819.2e9, 9.84e12, 0.002, "AWS EC2 Inf2 page"),
        ("inf2-48xlarge", "capacity", 12 * 32 * GIB, 384 * GIB, 1e-6, "AWS EC2 Inf2 page"),
        ("r8g-metal-48xl", "capacity", 24 * 64 * GIB, 1536 * GIB, 1e-6, "AWS, r8g.metal-48xl"),
        ("rainier", "chips", 7813 * 64, 500_000, 1e-3, "AWS, 2025-10-29: nearly half a million"),
        ("ultracluster-100k", "chips", 6250 * 16, 100_000, 1e-9, "AWS, 2023-11-28"),
        ("ultracluster-100k", "bf16", 1e5 * 629.1e12, 65e18, 0.04, "AWS, 2023-11-28: 65 exaflops"),
        ("cloudmatrix384", "bf16", 384 * 707.8e12, 300e15, 0.1, "SemiAnalysis, 2025-04-16"),
        ("cloudmatrix384", "bandwidth", 384 * 3.2e12, 1229e12, 1e-3, "SemiAnalysis, 2025-04-16"),
        ("cloudmatrix384", "capacity", 384 * 128 * GIB, 49152 * GIB, 1e-6, CLOUDMATRIX),
        ("atlas-800t-a3", "chips", 8, 8, 1e-9, CLOUDMATRIX),
        ("mtia-v2-rack", "chips", 3 * 12 * 2, 72, 1e-9, META_2024),
        ("mtia-v2-rack", "bf16", 72 * 176.9e12, 12.74e15, 0.002, f"{META_2024}: 72 x 177"),
        ("minerva", "chips", 72, 72, 1e-9, META_2026),
        ("minerva", "bandwidth", 72 * 9.42e12, 676.8e12, 0.003, f"{META_2026}: 72 x 9.4"),
        ("maia-100-server", "chips", 4, 4, 1e-9, MAIA_100),
        ("maia-200-cluster", "chips", 48 * 128, 6144, 1e-9, "Xu et al., arXiv:2608.24664"),
        ("maia-200-cluster", "fp4", 6144 * 10145e12, 62e18, 0.01, "Xu et al., arXiv:2608.24664"),
        ("maia-200-cluster", "bandwidth", 6144 * 7e12, 43e15, 0.001, "Xu et al.: 43 PB/s"),
        ("mlu590-server", "chips", 8, 8, 1e-9, "public logs of servers"),
        ("cs-3", "bandwidth", 21.6e15, 21.6e15, 1e-6, "Cerebras at Hot Chips 2026"),
        ("openai-xpu-rack", "chips", 16 * 8, 128, 1e-9, OPENAI),
        # 2,048 chips: 27 EFLOP/s, 32 PB/s, 432 TiB
        ("openai-xpu-rack", "fp4", 128 * 13.42e15, 27e18 / 16, 0.02, OPENAI),
        ("openai-xpu-rack", "bandwidth", 128 * 15.36e12, 32e15 / 16, 0.02, OPENAI),
        ("openai-xpu-rack", "capacity", 128 * 216 * GIB, 432 * 2**40 / 16, 1e-6, OPENAI),
    ],
)
def test_systems_are_their_chips(
    name: str, what: str, by_hand: float, published: float, tolerance: float, citation: str
) -> None:
    """Chips of all domains times what a chip has, by hand, meets what is published."""
    made = system(name)
    chips = made.chips * made.domains
    total = chips if what == "chips" else chips * figure(made.chip, what)
    assert total == pytest.approx(by_hand, rel=1e-3)
    assert by_hand == pytest.approx(published, rel=tolerance), citation
    assert made.all_chips == chips


@pytest.mark.parametrize(
    ("name", "published", "tolerance"),
    [
        ("rainier", 375e6, 0.05),  # 500,000 x 750 W, SemiAnalysis, 2024-12-03
        ("cloudmatrix384", 559e3, 0.1),  # SemiAnalysis, 2025-04-16
        ("cs-3", 23e3, 0.05),  # Cerebras CS-3 product page
        ("openai-xpu-rack", 160e3, 0.05),  # SemiAnalysis, 2026-08-25
    ],
)
def test_provisioned_power_meets_what_is_published(
    name: str, published: float, tolerance: float
) -> None:
    """Chips, switches, hosts, network, conversion and cooling sum to the published power."""
    made = lower(system(name))
    watts = float(power.rack_power(made)) * float(fabric.racks(made)) * system(name).domains
    assert watts == pytest.approx(published, rel=tolerance)
    assert system(name).announced.power == pytest.approx(published)


@pytest.mark.parametrize(
    ("name", "lanes"),
    [
        ("inf1-24xlarge", 16),
        ("inf2-48xlarge", 32),
        ("rainier", 160),
        ("ultracluster-100k", 128),  # the third axis of a chip's 160 lanes is the UltraServer's
    ],
)
def test_a_torus_spends_the_lanes_of_a_chip(name: str, lanes: int) -> None:
    """Axes multiply to the chips of a domain, and their lanes add up to the chip's."""
    made = system(name)
    axes = (made.scale_up.x, made.scale_up.y, made.scale_up.z)
    assert made.scale_up.topology == "torus"
    assert axes[0].size * axes[1].size * axes[2].size == made.chips
    assert sum(axis.lanes for axis in axes) == lanes <= made.chip.scale_up.lanes


MESHES = "r8g-metal-48xl maia-100-server maia-200-server maia-200-cluster mlu590-server cs-3"


@pytest.mark.parametrize("name", MESHES.split())
def test_a_mesh_has_no_switch(name: str) -> None:
    """Direct links need no switch, and none is paid for."""
    made = system(name)
    assert made.scale_up.topology == "mesh"
    assert made.scale_up.switch.price == made.scale_up.switch.power == 0
    assert float(fabric.fabric(lower(made)).switches) == 0


@pytest.mark.parametrize(
    ("name", "fixed", "switched", "whole"),
    [
        ("maia-100-server", 9, 3, 600e9),  # Hot Chips 2024; Lockwood, Digital Garden, Maia 100
        ("maia-200-server", 20, 8, 1.4e12),  # Hot Chips 2026; Xu et al., arXiv:2608.24664
    ],
)
def test_fixed_and_switched_ports_are_those_of_the_chip(
    name: str, fixed: int, switched: int, whole: float
) -> None:
    """Ports of 400 Gb/s to the other chips of a tray, and to switches, add up to the chip's."""
    made = system(name)
    assert made.chip.scale_up.bandwidth == pytest.approx(fixed * 50e9)
    assert made.scale_out.bandwidth == pytest.approx(switched * 50e9)
    assert made.chip.scale_up.bandwidth + made.scale_out.bandwidth == pytest.approx(whole)


def test_switches_are_those_that_stand_in_the_racks() -> None:
    """Six Tomahawk 6 for 128 XPUs; two tiers of UB switches, 7 a node in the lower one."""
    xpu = fabric.fabric(lower(system("openai-xpu-rack")))
    assert float(xpu.switches) == pytest.approx(6)  # SemiAnalysis, 2026-08-25
    assert float(xpu.near) == 128 * 24
    matrix = lower(system("cloudmatrix384"))
    assert float(fabric.tiers(matrix)) == 2
    assert float(fabric.racks(matrix)) == 16  # SemiAnalysis, 2025-04-16
    # 48 nodes x 7 and 7 x 16 are 448 (Zuo et al.); the formula has no room for the processors
    assert float(fabric.fabric(matrix).switches) == pytest.approx(336)
    # as many optical links as 400G modules: 5,376 (SemiAnalysis, 2025-04-16)
    assert float(fabric.fabric(matrix).far) == pytest.approx(5376, rel=0.07)


def test_racks_hold_what_is_published() -> None:
    """72 MTIA v2 in a rack of three chassis; 48 Maia 200 in one of twelve trays."""
    assert float(fabric.racks(lower(system("mtia-v2-rack")))) == pytest.approx(1 / 3)
    assert float(fabric.racks(lower(system("maia-200-server")))) == pytest.approx(1 / 12)
    assert float(fabric.racks(lower(system("minerva")))) == 1
    assert float(fabric.racks(lower(system("openai-xpu-rack")))) == 1
