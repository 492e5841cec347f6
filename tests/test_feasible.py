"""`dse feasible` and its one list of rules: values, limits, margins, and the lines that break."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from click.testing import CliRunner, Result
from helpers import SYSTEMS, spec, system

from dse.cli import cli
from dse.model.estimate import design
from dse.model.pytree import lower, stack
from dse.model.rules import RULES, limits, margins, values
from dse.report.feasible import state
from dse.spec.catalog import Catalog
from dse.spec.load import load
from dse.spec.origin import Origins
from dse.spec.space import fixed, leaf_at
from dse.spec.system import System

BREAKING = {
    "chip.cores": ("trn2-ultraserver", {"chip.die.core.spare": "8"}, "chip.die.core.spare"),
    "die.reticle": ("h100-server", {"chip.die.area": "900 mm2"}, "chip.die.area"),
    "io_die.reticle": ("mi300x-server", {"chip.io_die.area": "900 mm2"}, "chip.io_die.area"),
    "chip.shoreline": ("trn2-ultraserver", {"chip.memory.stacks": "16"}, "chip.memory.stacks"),
    "io_die.shoreline": ("mi300x-server", {"chip.memory.sites": "64"}, "chip.memory.sites"),
    "chip.stacks": ("trn4-ultraserver", {"chip.memory.stacks": "14"}, "chip.memory.stacks"),
    "chip.interposer": ("h100-server", {"chip.dies": "4"}, "chip.dies"),
    "chip.voltage": ("h100-server", {"chip.die.core.clock": "4 GHz"}, "chip.die.core.clock"),
    "chip.heat": ("h100-server", {"chip.power": "1500 W"}, "chip.power"),
    "rack.power": ("gb200-nvl72", {"chip.power": "2 kW"}, "chip.power"),
    "fabric.switches": ("h100-server", {"chips": "600000"}, "chips"),
    "fabric.torus": ("trn2-ultraserver", {"chips": "65"}, "chips"),
    "fabric.lanes": ("trn2-ultraserver", {"scale_up.x.lanes": "100"}, "scale_up.x.lanes"),
    "fabric.mesh": ("mi300x-server", {"chips": "114"}, "chips"),
}
"""A system, what is changed in it, and the leaf that breaks the rule, for each rule."""

NAMES = tuple(rule.name for rule in RULES)


def dse(*arguments: str) -> Result:
    """One command line, in this process."""
    return CliRunner().invoke(cli, list(arguments))


def rules(*arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """What `dse feasible --json` says, by rule."""
    result = dse("feasible", *arguments, "--json")
    assert result.exit_code == code, result.stderr
    return {each["rule"]: each for each in json.loads(result.stdout)}


def changed(name: str, settings: dict[str, str]) -> System:
    """A lowered system of the catalogue with some leaves set."""
    made = load(System, name, Catalog.default(), list(settings.items()))
    return lower(fixed(made))


def arguments(rule: str) -> list[str]:
    name, settings, _ = BREAKING[rule]
    return [name, *(word for path in settings for word in ("--set", f"{path}={settings[path]}"))]


def test_every_rule_has_a_design_that_breaks_it() -> None:
    """A new rule asks for a new example."""
    assert set(BREAKING) == set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("rule", NAMES)
def test_a_design_that_breaks_a_rule_is_rejected_by_name(rule: str) -> None:
    """Exit code 3; the rule, its leaf and where that was set are on stdout and on stderr."""
    found = rules(*arguments(rule), code=3)
    broken = found[rule]
    assert broken["margin"] < 0.0
    assert broken["value"] > broken["limit"] > 0.0
    assert broken["state"] == "broken"
    assert (broken["path"], broken["file"]) == (BREAKING[rule][2], "--set")
    told = dse("feasible", *arguments(rule))
    assert told.exit_code == 3
    assert f"  {rule}: " in told.stderr
    assert f"{BREAKING[rule][2]} at --set" in told.stderr
    assert f"{rule} (broken): " in told.stdout


@pytest.mark.parametrize("rule", NAMES)
def test_the_design_without_the_change_keeps_the_rule(rule: str) -> None:
    """So it is the change that breaks it."""
    plain = changed(BREAKING[rule][0], {})
    assert float(margins(plain)[rule]) >= 0.0


def test_no_shipped_system_breaks_a_rule() -> None:
    """All of them have been built, or are announced to be."""
    found = jax.jit(jax.vmap(margins))(stack([system(name) for name in SYSTEMS]))
    broken = {
        (rule, SYSTEMS[index])
        for rule, row in found.items()
        for index in np.flatnonzero(np.asarray(row) < 0.0)
    }
    assert broken == set()


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_a_margin_is_what_is_left_of_the_limit(rule: Any) -> None:
    """(limit - value) / limit: positive below the limit, zero at it, negative above."""
    broken = changed(*BREAKING[rule.name][:2])
    value, limit = float(rule.value(broken)), float(rule.bound(broken))
    assert float(rule.margin(broken)) == pytest.approx((limit - value) / limit, rel=1e-5)
    plain = changed(BREAKING[rule.name][0], {})
    value, limit = float(rule.value(plain)), float(rule.bound(plain))
    assert float(rule.margin(plain)) == pytest.approx((limit - value) / limit, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_margins_have_finite_slopes_that_say_which_way(rule: Any) -> None:
    """Raising the leaf that breaks a rule lowers its margin, as finite differences say too."""
    name, settings, path = BREAKING[rule.name]
    broken = changed(name, settings)
    slopes = jax.grad(rule.margin)(jax.tree.map(np.float32, broken))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))
    slope, start = slopes, broken
    for part in path.split("."):
        slope, start = getattr(slope, part), getattr(start, part)
    up, down = (float(rule.margin(_with(broken, path.split("."), f))) for f in (1.005, 0.995))
    assert float(slope) * start == pytest.approx((up - down) / 0.01, rel=2e-2)
    assert up < down


def _with(made: Any, parts: list[str], factor: float) -> Any:
    from dse.model.pytree import replace

    value = getattr(made, parts[0])
    inner = _with(value, parts[1:], factor) if len(parts) > 1 else value * factor
    return replace(made, **{parts[0]: inner})


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_rules_name_leaves_that_exist_in_units_that_convert(rule: Any) -> None:
    """Every path is a number of a system; the unit is that of the value."""
    from dse import units

    for path in (*rule.paths, *rule.limits):
        assert leaf_at(System, path).numeric, path
    assert rule.formula.count("<=") == 1
    if rule.unit != "1":
        assert units.factor(rule.unit) > 0.0


def test_searches_and_evaluations_read_the_same_list() -> None:
    """The margins of a design in an evaluation are those of RULES, in their order."""
    from helpers import question

    setting = question("llama-3.3-70b", "chat-decode").setting
    made = design(system("h100-server"), setting)
    assert tuple(made.margins) == NAMES
    assert NAMES == tuple(values(system("h100-server"))) == tuple(limits(system("h100-server")))


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("rack.power_limit=0 kW", "rack.power"),
        ("chip.packaging.maximum_area=0 mm2", "chip.interposer"),
        ("chip.die.node.reticle=0 mm2", "die.reticle"),
    ],
)
def test_a_limit_that_nobody_declared_is_named_and_rejects_nothing(path: str, rule: str) -> None:
    """No limit, a margin of one, and the words for it."""
    found = rules("gb200-nvl72", "--set", path)[rule]
    assert (found["limit"], found["margin"], found["state"]) == (None, 1.0, "no limit declared")
    assert "no limit declared" in dse("feasible", "gb200-nvl72", "--set", path).stdout


def test_a_rule_about_what_a_design_lacks_does_not_apply() -> None:
    """A switched domain has no torus, a chip without I/O dies none that is too large."""
    found = rules("gb200-nvl72")
    away = {name for name, each in found.items() if each["state"] == "does not apply"}
    fabrics = {"fabric.torus", "fabric.lanes", "fabric.mesh"}
    assert away == {"io_die.reticle", "io_die.shoreline"} | fabrics
    assert all(found[name]["limit"] is None for name in away)


def test_the_line_that_breaks_is_that_of_the_file(tmp_path: Path) -> None:
    """Through a system's reference to a chip, and the chip's own base."""
    (tmp_path / "hot.toml").write_text(
        'kind = "chip"\nname = "hot"\nbase = "h100-sxm"\n# why\npower = "1500 W"\n', "utf-8"
    )
    (tmp_path / "oven.toml").write_text(
        'kind = "system"\nname = "oven"\nbase = "h100-server"\nchip = "hot"\n', "utf-8"
    )
    found = rules("oven", "--specs", str(tmp_path), code=3)
    heat = found["chip.heat"]
    assert (heat["path"], heat["line"]) == ("chip.power", 5)
    assert Path(heat["file"]) == tmp_path / "hot.toml"
    assert heat["limit_path"] == "rack.air.flux"
    reticle = found["die.reticle"]
    text = Path(reticle["file"]).read_text("utf-8").splitlines()
    assert Path(reticle["file"]).stem == "h100-sxm"
    assert text[reticle["line"] - 1].startswith("area")


@pytest.mark.parametrize("name", ["gb200-nvl72", "mi300x-server", "trn2-ultraserver", "b300"])
def test_limits_stand_at_the_line_that_sets_them(name: str) -> None:
    """The last part of a leaf's path is a key of its line, in whichever file that is."""
    origins = Origins("system", name, Catalog.default())
    made = fixed(load(System, name, Catalog.default()))
    for rule in RULES:
        for path in (*rule.paths, *rule.limits):
            file, line, _ = origins.of(path)
            said = Path(file).read_text("utf-8").splitlines()[line - 1] if line else ""
            value = made
            for part in path.split("."):
                value = getattr(value, part)
            # a default stands at the table above it, or in no line at all
            default = not value or path.startswith(("rack.air", "rack.liquid", "scale_up"))
            assert default or path.split(".")[-1] in said, (path, file, line)


def test_the_source_of_a_limit_is_said() -> None:
    """The reticle's field with its confidence."""
    found = rules("gb200-nvl72")["die.reticle"]
    assert "33 mm" in found["source"]
    assert found["confidence"] in ("vendor", "third-party")
    assert found["limit"] == pytest.approx(858e-6)
    assumed = rules("h100-server")["chip.heat"]
    assert (assumed["source"], assumed["confidence"]) == ("default of the field", "assumption")


def test_with_a_workload_the_operating_rules_follow() -> None:
    """Mapping, memory and latency at the best operating point, with the workload's line."""
    asked = ["h100-server", "-m", "llama-3.1-8b", "-w", "chat-decode"]
    found = rules(*asked)
    assert list(found)[-4:] == ["mapping", "memory", "tpot", "ttft"]
    assert found["tpot"]["limit"] == pytest.approx(0.05)
    assert found["tpot"]["value"] <= 0.05 * 1.001
    assert Path(found["tpot"]["limit_file"]).stem == "chat-decode"
    assert found["ttft"]["state"] == "does not apply"
    assert 0.0 < found["memory"]["value"] <= found["memory"]["limit"] * 1.001


def test_an_operating_limit_that_is_broken_exits_with_3() -> None:
    """No mapping holds 405 B parameters in BF16 on one server of eight 40 GB chips."""
    asked = ["a100-server", "-m", "llama-3.1-405b", "-w", "chat-decode"]
    found = rules(*asked, "--set", "chip.memory.stacks=1", "--set", "chip.memory.sites=0", code=3)
    assert found["memory"]["state"] == "broken"
    assert found["memory"]["value"] > found["memory"]["limit"]
    assert found["memory"]["path"] == "chip.memory.stacks"


def test_model_and_workload_go_together() -> None:
    """One without the other is a wrong use, as is a value set in a part nobody asked for."""
    assert dse("feasible", "h100-server", "-m", "llama-3.1-8b").exit_code == 2
    assert dse("feasible", "h100-server", "--set", "workload.tpot=5 ms").exit_code == 2


def test_the_table_fits_eighty_columns() -> None:
    """For people on a terminal of the usual width."""
    for name in ("gb200-nvl72", "trn2-ultraserver"):
        result = dse("feasible", name, "--set", "chip.die.core.clock=6 GHz")
        assert max(map(len, result.stdout.splitlines())) <= 80


def test_what_counts_things_may_be_used_up_whole() -> None:
    """A torus that holds exactly its chips is not tight; a die near the reticle is."""
    assert state("1", 0.0) == "holds"
    assert state("mm2", 0.05) == "tight"
    assert state("mm2", 0.5) == "holds"
    assert state("1", -1e-6) == "broken"
    assert not math.isnan(float(margins(system("trn2-ultraserver"))["fabric.torus"]))


def test_specs_of_the_catalogue_declare_every_limit() -> None:
    """No shipped system leaves a limit open that a rule of it asks for."""
    for name in SYSTEMS:
        made, low = spec(System, name), system(name)
        for rule in RULES:
            if float(rule.applies(low)) > 0.0:
                assert float(rule.bound(low)) > 0.0, (made.name, rule.name)


def test_a_study_says_what_its_rules_reject() -> None:
    """Shares of random designs; those that one rule alone rejects are among those it rejects."""
    result = dse("feasible", "trainium4-decode", "--designs", "40", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    found = {each["rule"]: each for each in document["rules"]}
    assert set(NAMES) < set(found)
    assert "rack.power <= 250 kW" in found
    assert all(each["alone"] <= each["broken"] <= 1.0 for each in found.values())
    alone = sum(each["alone"] for each in found.values())
    assert 0.0 < document["feasible"] <= 1.0 - alone
    text = dse("feasible", "trainium4-decode", "--designs", "40").stdout
    assert "40 random designs" in text
    assert dse("feasible", "trainium4-decode", "-m", "a", "-w", "b").exit_code == 2
