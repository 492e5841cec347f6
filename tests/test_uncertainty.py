"""Samples of uncertain constants: what is sampled, what is shared, bands, shares of variance."""

from __future__ import annotations

import json
from typing import Any

import attrs
import numpy as np
import pytest
from click.testing import CliRunner
from helpers import mapping, question, spec

from dse.cli import cli
from dse.model.evaluator import Question
from dse.model.pytree import lower
from dse.model.uncertainty import (
    PER_INPUT,
    Input,
    Sampler,
    Samples,
    interval,
    quantiles,
    sample,
    shares,
)
from dse.report.uncertainty import best_shares, uncertainty_document
from dse.spec.facility import Facility
from dse.spec.fields import Leaf, Source
from dse.spec.memory import MemoryStack
from dse.spec.space import fixed
from dse.spec.system import System
from dse.spec.values import Normal, Triangular, Weighted
from dse.spec.workload import Workload

ROW = np.asarray(mapping(tp=2.0))
QUESTION = question("llama-3.1-8b", "chat-decode")
SERVER = spec(System, "h100-server")
PRICE = Triangular(low=5e3, mode=6e3, high=12e3)


def dse(*arguments: str) -> Any:
    """One command line, in this process."""
    return CliRunner().invoke(cli, list(arguments))


def with_host(price: Any) -> System:
    return attrs.evolve(SERVER, host=attrs.evolve(SERVER.host, price=price))


def sampled(system: System, asked: Question = QUESTION, **more: Any) -> Samples:
    return sample(system, asked, ROW, **{"number": 2048, "uncertain": "declared", **more})


def asked_with(**facility: Any) -> Question:
    return attrs.evolve(QUESTION, facility=attrs.evolve(QUESTION.facility, **facility))


def drawn(spec: Any, number: int = 500, uncertain: str = "both", seed: int = 0) -> Any:
    """A sampled spec and its inputs by path."""
    sampler = Sampler(number, seed, uncertain)
    made = sampler.draw(spec)
    return made, {each.path: each for each in sampler.inputs.values()}


@pytest.mark.parametrize(
    "belief", [PRICE, Normal(mean=3.0, std=0.5), Triangular(low=1, mode=1, high=2)]
)
def test_quantiles_are_those_of_the_belief(belief: Any) -> None:
    """All shares at once give what one after the other gives."""
    grid = np.linspace(0.001, 0.999, 41)
    expected = [belief.quantile(float(share)) for share in grid]
    np.testing.assert_allclose(quantiles(belief, grid), expected, rtol=1e-12)


def test_a_linear_metric_has_the_band_of_its_belief() -> None:
    """The price of a system goes up by its hosts': percentiles of a triangle, mapped linearly."""
    ends = [sampled(with_host(price), number=1).metrics["system_cost_usd"] for price in (0.0, 1e4)]
    base, slope = float(ends[0][0]), float(ends[1][0] - ends[0][0]) / 1e4
    found = sampled(with_host(PRICE), number=8192).metrics["system_cost_usd"]
    for share in (0.05, 0.5, 0.95):
        expected = base + slope * PRICE.quantile(share)
        # three standard errors of a percentile of 8192 samples, as shares of the belief
        spread = slope * (PRICE.quantile(min(share + 0.016, 1.0)) - PRICE.quantile(share - 0.016))
        assert np.quantile(found, share) == pytest.approx(expected, abs=spread)


def test_bands_of_a_document_are_5_50_and_95_percent() -> None:
    """In the units in which files hold metrics."""
    found = sampled(with_host(PRICE))
    document = uncertainty_document(found, ["usd_per_chip_hour", "tpot_s"], "tokens_per_usd")
    band = document["bands"]["usd_per_chip_hour"]
    hourly = 3600.0 * found.metrics["usd_per_chip_hour"]
    assert [band[k] for k in ("p5", "p50", "p95")] == pytest.approx(
        np.percentile(hourly, [5, 50, 95]), rel=1e-5
    )
    assert band["p5"] < band["p50"] < band["p95"]


def test_the_same_seed_gives_the_same_samples() -> None:
    """To the bit; another seed gives others; more samples begin with the same."""
    one, same, other = (sampled(with_host(PRICE), seed=seed) for seed in (1, 1, 2))
    more = sampled(with_host(PRICE), seed=1, number=3000)
    for name, values in one.metrics.items():
        np.testing.assert_array_equal(values, same.metrics[name])
        np.testing.assert_array_equal(values, more.metrics[name][:2048])
    assert np.any(one.metrics["system_cost_usd"] != other.metrics["system_cost_usd"])


def test_without_uncertainty_samples_are_the_design() -> None:
    """Every percentile is the value of an ordinary evaluation, with a batch given or found."""
    from dse.model.evaluator import evaluate
    from dse.model.pytree import stack

    pinned = {"tp": 2, "pp": 1, "ep": 1}
    for batch in (None, 16.0):
        plain = evaluate(stack([lower(fixed(SERVER))]), QUESTION, pinned=pinned, batch=batch)
        found = sample(SERVER, QUESTION, plain.rows[0], number=3, uncertain="declared", batch=batch)
        assert found.inputs == ()
        for name, values in found.metrics.items():
            np.testing.assert_allclose(values, plain.metrics[name][0], rtol=2e-5, err_msg=name)
        for name, values in found.margins.items():
            np.testing.assert_allclose(values, plain.margins[name][0], rtol=2e-3, atol=2e-5)


def test_one_sample_is_enough() -> None:
    """A band without width, and no shares of a variance that there is none of."""
    found = sampled(with_host(PRICE), number=1)
    document = uncertainty_document(found, ["tokens_per_usd"], "tokens_per_usd")
    assert len(set(document["bands"]["tokens_per_usd"].values())) == 1
    assert document["variance"] == []


def test_a_system_of_another_name_takes_the_same_samples() -> None:
    """Two that differ in name only differ in no sample, whatever is uncertain in them."""
    other = attrs.evolve(SERVER, name="other", chip=attrs.evolve(SERVER.chip, name="another"))
    one, two = (sampled(each, uncertain="both", number=300) for each in (SERVER, other))
    assert len(one.inputs) == len(two.inputs) > 20
    for name, values in one.metrics.items():
        np.testing.assert_array_equal(values, two.metrics[name], err_msg=name)
    assert np.std(one.metrics["tokens_per_usd"]) > 0.0


def test_what_two_systems_share_takes_the_same_samples() -> None:
    """Node and packaging alike, whatever else the systems hold and in which order."""
    first, _ = drawn(SERVER)
    _, second = drawn(spec(System, "a100-server"))
    again, _ = drawn(attrs.evolve(spec(System, "h200-server"), host=SERVER.host))
    assert np.std(first.chip.die.node.defect_density) > 0.0
    for path in ("defect_density", "wafer_price"):
        ours, theirs = (getattr(each.chip.die.node, path) for each in (first, again))
        np.testing.assert_array_equal(ours, theirs)
    assert second["defect_density"].name != ""
    alone, _ = drawn(QUESTION.facility)
    sampler = Sampler(500, 0)
    sampler.draw(SERVER)
    np.testing.assert_array_equal(sampler.draw(QUESTION.facility).utilisation, alone.utilisation)


def test_only_quantities_are_sampled_for_the_interval_of_a_source() -> None:
    """A pod's 8,960 chips have an interval: a count stays, as do words and flags."""
    pod = spec(System, "tpu-v5p-pod")
    assert pod.sources["chips"].low
    made, inputs = drawn(pod)
    assert set(made.chips.tolist()) == {8960.0}
    for each in inputs.values():
        assert isinstance(each.belief, Triangular)
    plain, none = drawn(pod, uncertain="declared")
    assert none == {}
    assert set(plain.rack.conversion.tolist()) == {float(np.float32(pod.rack.conversion))}


def test_what_is_asked_is_not_in_doubt() -> None:
    """A workload's limit stays where its source gives an interval; a declared belief is sampled."""
    work = spec(Workload, "chat-decode")
    source = Source(ref="a book", low="20 ms", high="90 ms")
    _, inputs = drawn(attrs.evolve(work, sources={**work.sources, "tpot": source}))
    assert inputs == {}
    belief = Triangular(low=0.02, mode=0.05, high=0.09)
    made, inputs = drawn(attrs.evolve(work, tpot=belief))
    assert list(inputs) == ["tpot"]
    assert 0.02 <= np.min(made.tpot) < np.max(made.tpot) <= 0.09


def test_an_interval_is_a_triangle_that_holds_the_value() -> None:
    """Mode at the value; a missing end is the value; widened where it lies outside; none at 0."""
    leaf = Leaf(sort="quantity", unit="GB", doc="")

    def made(value: float, low: str, high: str) -> Any:
        found = interval(value, leaf, Source(ref="a", low=low, high=high))
        return found and (found.low, found.mode, found.high)

    assert made(2e9, "1 GB", "4 GB") == (1e9, 2e9, 4e9)
    assert made(2e9, "1 GB", "") == (1e9, 2e9, 2e9)
    assert made(2e9, "3 GB", "4 GB") == (2e9, 2e9, 4e9)
    assert made(2e9, "2 GB", "") is None
    assert made(2e9, "", "") is None
    assert made(0.0, "1 GB", "4 GB") is None
    assert made(2e9, "1 W", "4 W") is None


def test_samples_keep_to_the_bounds_of_their_field() -> None:
    """An interval may reach beyond what the field takes; a share stays at most one."""
    facility = attrs.evolve(
        spec(Facility, "hyperscale-us"),
        utilisation=0.9,
        sources={"utilisation": Source(ref="a", low="0.5", high="1.6")},
    )
    made, _ = drawn(facility)
    assert 0.5 <= np.min(made.utilisation) < np.max(made.utilisation) == 1.0


def test_a_declared_count_stays_whole() -> None:
    """Alternatives of a count, and a belief over one, give whole numbers."""
    made, _ = drawn(attrs.evolve(SERVER, chips=Weighted(alternatives=(4.0, 8.0), weights=(1, 3))))
    assert set(made.chips.tolist()) == {4.0, 8.0}
    assert np.mean(made.chips == 8.0) == pytest.approx(0.75, abs=0.08)


def test_alternative_specs_are_taken_whole() -> None:
    """A stack believed to be one of two: no sample mixes them."""
    one, two = spec(MemoryStack, "hbm3-8h"), spec(MemoryStack, "hbm3e-12h")
    memory = attrs.evolve(
        SERVER.chip.memory, stack=Weighted(alternatives=(one, two), weights=(0.5, 0.5))
    )
    made, inputs = drawn(
        attrs.evolve(SERVER, chip=attrs.evolve(SERVER.chip, memory=memory)), uncertain="declared"
    )
    stack = made.chip.memory.stack
    pairs = set(zip(stack.capacity.tolist(), stack.rate.tolist(), strict=True))
    exact = {tuple(map(float, np.float32([each.capacity, each.rate]))) for each in (one, two)}
    assert pairs == exact
    assert list(inputs) == ["memory.stack"]


def test_an_alternative_word_is_one_of_them() -> None:
    """Weights of an option stay those of one word in each sample."""
    belief = Weighted(alternatives=("air", "liquid"), weights=(0.2, 0.8))
    made, _ = drawn(attrs.evolve(SERVER, rack=attrs.evolve(SERVER.rack, cooling=belief)))
    air, liquid = made.rack.cooling
    np.testing.assert_array_equal(air + liquid, 1.0)
    assert np.mean(liquid) == pytest.approx(0.8, abs=0.08)


def _inputs(number: int, **spans: float) -> tuple[Input, ...]:
    random = np.random.default_rng(3)
    return tuple(
        Input("facility", "f", name, PRICE, span * random.uniform(-1.0, 1.0, number))
        for name, span in spans.items()
    )


def test_shares_of_variance_are_those_of_a_sum() -> None:
    """ln y = 3 a + b with a and b alike: 0.9 and 0.1; what is not in it has nothing."""
    a, b, c = _inputs(4000, a=1.0, b=1.0, c=1.0)
    found, explained = shares(np.exp(3.0 * a.samples + b.samples), (a, b, c))
    assert found == pytest.approx([0.9, 0.1, 0.0], abs=0.02)
    assert explained == pytest.approx(1.0, abs=1e-6)
    assert sum(found) <= 1.03


def test_noise_explains_nothing() -> None:
    """Forty inputs that do nothing explain no more than chance, few samples or many."""
    random = np.random.default_rng(5)
    for number in (100, 4000):
        inputs = _inputs(number, **{f"x{i}": 1.0 for i in range(40)})
        found, explained = shares(np.exp(random.normal(size=number)), inputs)
        assert sum(found) < 0.35 if number == 100 else sum(found) < 0.05
        assert 0.0 <= explained <= 1.0
    assert shares(np.ones(PER_INPUT - 1), inputs) == ([0.0] * 40, 0.0)


def test_a_curve_and_alternatives_are_seen() -> None:
    """A parabola without slope, and a word of three, both have their share."""
    (x,) = _inputs(4000, x=1.0)
    found, explained = shares(x.samples**2 - 0.2, (x,))
    assert found[0] == pytest.approx(1.0, abs=1e-6)
    words = np.random.default_rng(1).integers(0, 3, 4000).astype(float)
    belief = Weighted(alternatives=("a", "b", "c"), weights=(1, 1, 1))
    word = Input("system", "s", "word", belief, words)
    found, explained = shares(np.asarray([1.0, 5.0, 2.0])[words.astype(int)], (x, word))
    assert found == pytest.approx([0.0, 1.0], abs=1e-3)
    assert explained == pytest.approx(1.0, abs=1e-6)


def test_the_right_input_has_the_variance() -> None:
    """Tokens a dollar spread by the utilisation alone; the price of hosts hardly touches it."""
    asked = asked_with(utilisation=Triangular(low=0.3, mode=0.7, high=0.9))
    host = Triangular(low=6000.0, mode=6100.0, high=6200.0)
    found = sampled(with_host(host), asked)
    document = uncertainty_document(found, ["tokens_per_usd"], "tokens_per_usd")
    first = document["variance"][0]
    assert (first["kind"], first["name"], first["path"]) == (
        "facility",
        "hyperscale-us",
        "utilisation",
    )
    assert first["share"] > 0.98
    assert sum(each["share"] for each in document["variance"]) <= 1.02
    assert document["explained"] > 0.98


def test_the_best_is_counted_sample_by_sample() -> None:
    """Ties in parts; who breaks a limit is not the best; a metric that is better low is turned."""
    room = np.zeros(4)

    def made(values: list[float], tpot: Any = room) -> Samples:
        margins = {"mapping": room, "memory": room, "tpot": np.asarray(tpot), "ttft": room}
        table = {"tokens_per_usd": np.asarray(values), "tpot_s": np.asarray(values)}
        return Samples(metrics=table, margins=margins, useful=room, inputs=())

    one, two = made([1.0, 2.0, 3.0, 4.0]), made([2.0, 2.0, 1.0, 9.0], [0.0, 0.0, 0.0, -0.1])
    assert best_shares([one, two], "tokens_per_usd") == [0.625, 0.375]
    assert best_shares([one, two], "tpot_s") == [0.625, 0.375]
    assert best_shares([made([1.0] * 4, -np.ones(4))], "tpot_s") == [0.0]


ASKED = ("-m", "llama-3.1-8b", "-w", "chat-decode", "--tp", "2", "--samples", "200")


def test_eval_writes_bands_and_shares() -> None:
    """Fields of --json beside those that were there, every metric with its band."""
    result = dse("eval", "h100-server", *ASKED, "--seed", "4", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert set(document["bands"]) == set(document["metrics"])
    assert all(b["p5"] <= b["p50"] <= b["p95"] for b in document["bands"].values())
    band, value = document["bands"]["die_area_mm2"], document["metrics"]["die_area_mm2"]
    assert band["p5"] <= value <= band["p95"]
    assert {"kind", "name", "path", "share"} == set(document["variance"][0])
    kept = [each["share"] for each in document["variance"]]
    assert kept == sorted(kept, reverse=True)
    assert (document["samples"], document["seed"]) == (200, 4)


def test_tables_of_samples_fit_eighty_columns() -> None:
    """Bands and shares for people; nothing of them without --samples."""
    result = dse("eval", "h100-server", *ASKED)
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "Bands over 200 samples" in result.stdout
    assert "share of the variance of ln tokens_per_usd" in result.stdout
    assert "beyond their band" in result.stdout
    assert "Bands" not in dse("eval", "h100-server", *ASKED[:-2]).stdout


def test_compare_says_how_often_each_is_the_best() -> None:
    """Two prices of one server: the cheaper wins every sample, although bands overlap."""
    names = ("h100-server", "h200-server")
    result = dse("compare", *names, *ASKED, "--json")
    first, second = json.loads(result.stdout)
    assert first["best_share"] + second["best_share"] == pytest.approx(1.0)
    assert set(first["over_first"].values()) == {1.0}
    wide = second["bands"]["tokens_per_usd"], first["bands"]["tokens_per_usd"]
    apart = wide[0]["p95"] / wide[0]["p5"]
    # what they share cancels in the ratio of the two
    assert second["over_first"]["p95"] / second["over_first"]["p5"] < apart
    text = dse("compare", *names, *ASKED).stdout
    assert "best in" in text
    assert max(map(len, text.splitlines())) <= 80


def test_only_declared_beliefs_may_be_asked_for() -> None:
    """--uncertain declared samples nothing of a spec without any; --set declares one."""
    plain = dse("eval", "h100-server", *ASKED, "--uncertain", "declared", "--json")
    assert json.loads(plain.stdout)["inputs"] == 0
    belief = 'host.price={ low = "4000 USD", mode = "5000 USD", high = "9000 USD" }'
    more = ("--uncertain", "declared", "--set", belief, "--json")
    document = json.loads(dse("eval", "h100-server", *ASKED, *more).stdout)
    assert document["inputs"] == 1
    assert document["variance"][0]["path"] == "host.price"


def test_samples_of_two_systems_that_split_the_work_are_refused() -> None:
    """Wrong usage, said before anything is computed."""
    result = dse("eval", "h100-server", "--decode-system", "h200-server", *ASKED[:4], *ASKED[6:])
    assert result.exit_code == 2
    assert "samples" in result.stderr


def test_a_value_outside_of_its_interval_is_a_fault_of_the_catalogue(tmp_path: Any) -> None:
    """`dse check` of what is shipped says so with the line; a value inside passes."""
    from dse.spec.catalog import Catalog
    from dse.spec.load import check_file

    file = tmp_path / "odd.toml"
    text = 'kind = "facility"\nname = "odd"\nbase = "hyperscale-us"\nutilisation = {value}\n'
    text += '[sources]\nutilisation = {{ ref = "a book", low = "0.5", high = "0.8" }}\n'
    for value, faults in ((0.7, 0), (0.8, 0), (0.9, 1)):
        file.write_text(text.format(value=value), encoding="utf-8")
        found = check_file(file, "facility", Catalog.default(), sourced=True)
        assert len(found) == faults
    assert (found[0].path, found[0].line) == ("utilisation", 4)
    assert "between 0.5 and 0.8" in found[0].expected
