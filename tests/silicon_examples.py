"""Realistic chips and systems for the silicon tests: numbers roughly as published, all in SI."""

from __future__ import annotations

from dse.spec.chip import Chip, Packaging
from dse.spec.facility import Facility, Reliability
from dse.spec.link import Attachment, Link
from dse.spec.memory import Memory, MemoryStack
from dse.spec.silicon import Array, Core, Die, DieToDie, Node, Rates, Vector
from dse.spec.system import Axis, Host, Rack, ScaleOut, ScaleUp, Switch, System

MM, MM2, UM2 = 1e-3, 1e-6, 1e-12
PJ_BIT, PJ = 8e-12, 1e-12
GB, MIB, GIB = 1e9, 2.0**20, 2.0**30
YEAR = 31_536_000.0
KWH = 3.6e6


def _node(name: str, clock: float, **changes: float) -> Node:
    common = {
        "placement": 0.7,
        "sram_efficiency": 0.5,
        "wafer_diameter": 300 * MM,
        "edge_exclusion": 5 * MM,
        "scribe": 0.2 * MM,
        "clustering": 3.0,
        "reticle": 858 * MM2,
        "leakage": 0.04 / MM2,
        "silicon_carbon": 2.43e3 / 1e-4,
        "voltage": 0.75,
        "threshold_voltage": 0.35,
        "minimum_voltage": 0.55,
        "maximum_voltage": 1.05,
        "sram_energy": 0.18 * PJ_BIT,
    }
    return Node(name=name, clock=clock, **(common | changes))


N7 = _node(
    "n7",
    1.41e9,
    logic_density=91.2e6 / MM2,
    mac_area=850 * UM2,
    sram_bit_area=0.027 * UM2 * 8,
    wafer_price=9_346.0,
    defect_density=0.09e4,
    design_cost=298e6,
    flop_energy=0.325 * PJ,
)
N5 = _node(
    "n5",
    2.4e9,
    logic_density=138e6 / MM2,
    mac_area=560 * UM2,
    sram_bit_area=0.021 * UM2 * 8,
    wafer_price=16_000.0,
    defect_density=0.10e4,
    design_cost=542e6,
    flop_energy=0.2275 * PJ,
)
N4 = _node(
    "n4",
    1.83e9,
    logic_density=147e6 / MM2,
    mac_area=530 * UM2,
    sram_bit_area=0.021 * UM2 * 8,
    wafer_price=18_000.0,
    defect_density=0.10e4,
    design_cost=542e6,
    flop_energy=0.211 * PJ,
)


def _stack(capacity: float, rate: float, energy: float, price: float) -> MemoryStack:
    return MemoryStack(
        capacity=capacity,
        width=1024.0,
        rate=rate * 1e9 / 8.0,
        energy=energy * PJ_BIT,
        price=price / GB,
        shoreline=6 * MM,
        interface_area=14 * MM2,
        footprint=121 * MM2,
        latency=500e-9,
        idle_power=1.0,
        embodied_carbon=860.0 / GB,
    )


HBM2E = _stack(16 * GB, 3.19, 3.9, 10.0)
HBM3 = _stack(16 * GB, 5.23, 3.25, 17.0)
HBM3E = _stack(24 * GB, 7.8, 2.9, 15.1)
HBM3E_SLOW = _stack(24 * GIB, 5.7, 2.9, 12.0)

COWOS = Packaging(
    area_price=0.20 / MM2,
    defect_density=0.01e4,
    clustering=6.0,
    substrate_price=0.005 / MM2,
    substrate_share=4.0,
    substrate_yield=0.99,
    base_price=250.0,
    test_price=500.0,
    die_test=0.1,
    attach_yield=0.98,
    spacing=1.1,
    maximum_area=3.3 * 858 * MM2,
    carbon=0.8e3 / 1e-4,
    shoreline_use=0.8,
)
COWOS_L = Packaging(
    area_price=0.20 / MM2,
    defect_density=0.01e4,
    clustering=6.0,
    substrate_price=0.005 / MM2,
    substrate_share=4.0,
    substrate_yield=0.99,
    base_price=250.0,
    test_price=500.0,
    die_test=0.1,
    attach_yield=0.98,
    spacing=1.1,
    maximum_area=5.5 * 858 * MM2,
    carbon=0.4e3 / 1e-4,
    shoreline_use=0.8,
)


def _nvlink(rate: float) -> Link:
    return Link(
        rate=rate * 1e9,
        efficiency=0.9,
        energy=5 * PJ_BIT,
        shoreline=0.25 * MM,
        area=0.6 * MM2,
        latency=0.5e-6,
        copper_price=10.0,
        far_price=150.0,
        far_energy=15 * PJ_BIT,
    )


def _gpu_core(
    number: float, enabled: float, clock: float, macs: float, lanes: float, sram: float
) -> Core:
    return Core(
        count=number,
        spare=number - enabled,
        clock=clock,
        arrays=4.0,
        array=Array(rows=16.0, columns=macs / 64.0, rates=Rates(fp32=0.5, bf16=1.0, fp8=2.0)),
        vector=Vector(lanes=lanes, operations=2.0, exponentials=0.25, clock=clock),
        sram=sram * MIB,
        control_transistors=100e6,
    )


A100 = Chip(
    name="a100",
    dies=1.0,
    die=Die(
        node=N7,
        area=826 * MM2,
        core=_gpu_core(128.0, 108.0, 1.41e9, 1024.0, 64.0, 0.44),
        sram=40 * MIB,
        overhead_area=40 * MM2,
        interconnect_share=0.15,
    ),
    memory=Memory(stack=HBM2E, stacks=5.0),
    scale_up=Attachment(link=_nvlink(6.25), lanes=48.0),
    packaging=COWOS,
)

H100 = Chip(
    name="h100",
    dies=1.0,
    die=Die(
        node=N4,
        area=814 * MM2,
        core=_gpu_core(144.0, 132.0, 1.83e9, 2048.0, 128.0, 0.5),
        sram=50 * MIB,
        overhead_area=40 * MM2,
        interconnect_share=0.15,
    ),
    memory=Memory(stack=HBM3, stacks=5.0),
    scale_up=Attachment(link=_nvlink(12.5), lanes=36.0),
    packaging=COWOS,
)

B200 = Chip(
    name="b200",
    dies=2.0,
    die=Die(
        node=N4,
        area=800 * MM2,
        core=Core(
            count=80.0,
            spare=6.0,
            clock=1.86e9,
            arrays=4.0,
            array=Array(rows=32.0, columns=32.0, rates=Rates(fp32=0.5, bf16=1.0, fp8=2.0, fp4=4.0)),
            vector=Vector(lanes=128.0, operations=2.0, exponentials=0.25, clock=1.86e9),
            sram=0.75 * MIB,
            control_transistors=100e6,
        ),
        sram=63 * MIB,
        overhead_area=40 * MM2,
        interconnect_share=0.15,
        die_to_die=DieToDie(
            bandwidth=5e12, energy=0.5 * PJ_BIT, density=1317 * GB / MM, depth=1.0 * MM
        ),
    ),
    memory=Memory(stack=HBM3E, stacks=8.0),
    scale_up=Attachment(link=_nvlink(25.0), lanes=36.0),
    packaging=COWOS_L,
)

TRAINIUM2 = Chip(
    name="trainium2",
    dies=2.0,
    die=Die(
        node=N5,
        core=Core(
            count=4.0,
            spare=0.0,
            clock=2.4e9,
            arrays=1.0,
            array=Array(rows=128.0, columns=128.0, rates=Rates(fp32=0.25, bf16=1.0, fp8=2.0)),
            vector=Vector(lanes=1024.0, operations=2.0, exponentials=0.25, clock=1.08e9),
            sram=30 * MIB,
            control_transistors=3e9,
        ),
        overhead_area=60 * MM2,
        interconnect_share=0.3,
        die_to_die=DieToDie(
            bandwidth=1.5e12, energy=0.5 * PJ_BIT, density=165 * GB / MM, depth=1.0 * MM
        ),
    ),
    memory=Memory(stack=HBM3E_SLOW, stacks=4.0),
    scale_up=Attachment(link=_nvlink(4.0), lanes=160.0),
    packaging=COWOS,
)

FACILITY = Facility(
    name="facility",
    power_usage_effectiveness=1.15,
    energy_price=0.0806 / KWH,
    capital_price=11.7,
    building_life=15 * YEAR,
    server_life=5 * YEAR,
    cost_of_capital=0.08,
    compounding_period=YEAR,
    maintenance=0.03 / YEAR,
    utilisation=0.8,
    grid_carbon=369.0 / KWH,
    package_carbon=150.0,
    partner_margin=1.8,
    merchant_margin=6.0,
    memory_margin=1.2,
    dollar_year=2025.0,
    inflation=0.025,
    reliability=Reliability(
        chip=90_000 * 3600.0,
        host=125_000 * 3600.0,
        network=144_000 * 3600.0,
        switch=500_000 * 3600.0,
        restart=600.0,
        checkpoint_bandwidth=1e9,
    ),
)

HGX_H100 = System(
    name="hgx-h100",
    chip=H100,
    chips=8.0,
    scale_up=ScaleUp(
        topology="switch", switch=Switch(lanes=64.0, price=800.0, power=100.0, latency=200e-9)
    ),
    scale_out=ScaleOut(bandwidth=50e9, efficiency=0.9, latency=10e-6, power=120.0, price=4_000.0),
    host=Host(chips=8.0, price=30_000.0, power=1_500.0),
    rack=Rack(
        chips=32.0,
        power_limit=60e3,
        price=20_000.0,
        board_price=2_000.0,
        cooling="air",
        cooling_power=0.12,
        conversion=0.92,
        assembly=0.05,
    ),
)

TRAINIUM2_ULTRA = System(
    name="trn2-ultraserver",
    chip=TRAINIUM2,
    chips=64.0,
    scale_up=ScaleUp(
        topology="torus",
        x=Axis(size=4.0, lanes=64.0),
        y=Axis(size=4.0, lanes=64.0),
        z=Axis(size=4.0, lanes=32.0),
    ),
    scale_out=ScaleOut(bandwidth=25e9, efficiency=0.9, latency=15e-6, power=30.0, price=800.0),
    host=Host(chips=16.0, price=25_000.0, power=1_000.0),
    rack=Rack(
        chips=32.0,
        power_limit=27e3,
        price=20_000.0,
        board_price=1_000.0,
        cooling="air",
        cooling_power=0.08,
        conversion=0.92,
        assembly=0.05,
    ),
)

CHIPS = (A100, H100, B200, TRAINIUM2)
SYSTEMS = (HGX_H100, TRAINIUM2_ULTRA)
