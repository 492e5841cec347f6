"""Parameters, caches and FLOPs of language models against published numbers."""

from __future__ import annotations

import pytest
from helpers import mapping, model, spec, system

from dse.model.footprint import (
    activations_of_token,
    cache_of_sequence,
    experts_held,
    parameters_held,
)
from dse.model.pytree import lower, replace
from dse.model.roofline import Machine, machine
from dse.model.transformer import (
    cached_values,
    causal_attention,
    decode_attention,
    experts_touched,
    local_heads,
    model_flops,
    parameters,
    projections,
)
from dse.spec.workload import Software


def chip(name: str = "trn2-ultraserver") -> Machine:
    return machine(system(name).chip, lower(spec(Software, "ideal")))


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # Llama 3 (arXiv:2407.21783): 70.55e9 and 405.85e9, DeepSeek-V3 (arXiv:2412.19437): 671e9;
        # totals summed from the published configurations, norms included
        ("llama-3.1-8b", 8.0303e9),
        ("llama-3.3-70b", 70.5537e9),
        ("llama-3.1-405b", 405.8533e9),
        ("deepseek-v3", 671.0264e9),
    ],
)
def test_parameters_are_the_published_ones(name: str, published: float) -> None:
    """Norms, which are not counted, are less than 1e-4 of a model."""
    made = model(name)
    assert float(parameters(made, made.experts)) == pytest.approx(published, rel=1e-4)
    assert float(parameters(made, made.experts)) <= published * (1 + 1e-6)


def test_deepseek_activates_37_billion() -> None:
    """ "671B total parameters with 37B activated for each token" (arXiv:2412.19437, abstract)."""
    made = model("deepseek-v3")
    active = parameters(made, made.experts_per_token)
    assert float(active) == pytest.approx(37e9, rel=0.02)


def test_llama_flops_of_a_token() -> None:
    """2 N + 4 L h d context, embedding look-up left out (PaLM, arXiv:2204.02311, appendix B)."""
    made = model("llama-3.3-70b")
    worked = 2 * (70.5524e9 - 128256 * 8192) + 4 * 80 * 64 * 128 * 4096
    assert float(model_flops(made, 4096.0)) == pytest.approx(worked, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "worked"),
    [
        # 2 x 8 heads x 128 x 80 layers x 2 bytes
        ("llama-3.3-70b", 327_680),
        # 2 x 8 x 128 x 126 x 2: 516 kB (DeepSeek-V3 hardware paper, arXiv:2505.09343, table 1)
        ("llama-3.1-405b", 516_096),
        # (512 + 64) x 61 x 2: 70.272 kB (the same table)
        ("deepseek-v3", 70_272),
    ],
)
def test_cache_of_a_token_in_bf16(name: str, worked: float) -> None:
    """Bytes of keys and values, or of the latent vector, of one token in all layers."""
    made = model(name)
    assert float(cache_of_sequence(made, mapping(), 1.0, 2.0)) == pytest.approx(worked)


def test_key_value_heads_repeat_beyond_their_number() -> None:
    """8 heads on 16 chips: every chip holds one, so twice the cache in all."""
    made = model("llama-3.3-70b")
    eight, sixteen = cached_values(made, 8.0), cached_values(made, 16.0)
    assert float(eight) == float(sixteen) == 2 * 128


def test_the_latent_vector_is_on_every_chip() -> None:
    """Tensor parallelism does not split it."""
    made = model("deepseek-v3")
    assert float(cached_values(made, 8.0)) == 576.0


def test_uneven_heads_are_padded() -> None:
    """64 heads on 6 chips: the fullest has 11."""
    made = model("llama-3.3-70b")
    assert [float(h) for h in local_heads(made, 6.0)] == [11.0, 2.0]


@pytest.mark.parametrize("name", ["llama-3.3-70b", "llama-3.1-405b", "deepseek-v3"])
def test_chips_hold_the_whole_model(name: str) -> None:
    """On one chip all parameters; even shares sum to the model."""
    made = model(name)
    whole = float(parameters(made, made.experts))
    assert float(parameters_held(chip(), made, mapping()).total) == pytest.approx(whole, rel=2e-3)
    split = parameters_held(chip(), made, mapping(tp=8.0))
    assert float(split.total) * 8 == pytest.approx(whole, rel=0.03)
    assert float(split.total) * 8 >= whole * 0.999


def test_expert_parallel_chips_hold_their_experts() -> None:
    """256 experts on 32 chips: 8 each; on 72: 4, the last chips hold fewer."""
    made = model("deepseek-v3")
    assert float(experts_held(made, mapping(ep=32.0))) == 8.0
    assert float(experts_held(made, mapping(ep=72.0))) == 4.0
    held = parameters_held(chip(), made, mapping(ep=32.0)).experts
    # 58 layers x 8 experts x 3 matrices x 7,168 x 2,048
    assert float(held) == pytest.approx(58 * 8 * 3 * 7168 * 2048, rel=1e-5)


def test_few_tokens_touch_few_experts() -> None:
    """1 token: 8 of 256; 32 tokens: 1 - (31/32)^32 = 63.8 %; many: all."""
    made = model("deepseek-v3")
    assert float(experts_touched(made, 1.0)) == pytest.approx(8 / 256, rel=1e-5)
    assert float(experts_touched(made, 32.0)) == pytest.approx(1 - (31 / 32) ** 32, rel=1e-5)
    assert float(experts_touched(made, 1e5)) == pytest.approx(1.0)


def test_decode_attention_reads_the_cache_once() -> None:
    """4,096 tokens of Llama 70B on 8 chips: 4,096 x 2 x 128 numbers, 4 FLOPs a head and value."""
    made = model("llama-3.3-70b")
    found = decode_attention(chip(), made, 8.0, 4096.0, 1.0)
    assert float(found.moved) == 4096 * 2 * 128
    assert float(found.flops) == 4 * 4096 * 8 * 128
    assert float(found.exponentials) == 4096 * 8


def test_causal_attention_does_half_of_the_square() -> None:
    """2,048 tokens of one head: 4 d n^2 / 2 FLOPs, and one more for the diagonal."""
    made = model("llama-3.3-70b")
    found = causal_attention(chip(), made, 64.0, 2048.0, 1.0)
    assert float(found.flops) == pytest.approx(4 * 128 * 2048**2 / 2, rel=1e-3)
    # no schedule can beat the array's peak
    cells = 128 * 128
    assert float(found.cycles) >= float(found.flops) / 2 / cells * 0.999


def test_projections_do_two_flops_a_parameter() -> None:
    """Llama 70B attention: 8,192 x (64 + 16) x 128 + 8,192 x 8,192 parameters a layer."""
    made = model("llama-3.3-70b")
    found = projections(chip(), made, 1.0, 1.0)
    assert float(found.parameters) == 8192 * 80 * 128 + 8192 * 8192
    assert float(found.tiles) == 64 * 80 + 64 * 64


def test_absorbed_latent_attention_has_its_own_projections() -> None:
    """DeepSeek: down, up of queries, two absorbed products a head, output (arXiv:2405.04434)."""
    made = model("deepseek-v3")
    found = projections(chip(), made, 1.0, 1.0)
    worked = 7168 * (1536 + 576) + 1536 * 128 * 192 + 128 * (128 * 512 * 2) + 128 * 128 * 7168
    assert float(found.parameters) == worked


def test_activations_of_gpt3_are_those_of_korthikanti() -> None:
    """34 s b h / t bytes a layer with sequence parallelism and selective recomputation.

    Korthikanti et al. 2022 (arXiv:2205.05198), table 2. Ours leaves out dropout masks (2 to 3 of
    the 34), so it lies below, but not by more than a third.
    """
    made = replace(
        model("llama-3.3-70b"),
        hidden=12288.0,
        heads=96.0,
        key_value_heads=96.0,
        ffn=49152.0,
        gated=0.0,
        layers=96.0,
    )
    found = activations_of_token(made, mapping(tp=8.0), 2.0)
    published = 34 * 12288 / 8
    assert 0.66 * published <= float(found) <= published


def test_full_recomputation_keeps_the_input_of_a_layer() -> None:
    """2 s b h bytes a layer, shared out over the tensor-parallel group (the same table)."""
    made = model("llama-3.3-70b")
    found = activations_of_token(made, mapping(tp=8.0, recompute=1.0), 2.0)
    assert float(found) == pytest.approx(2 * 8192 / 8)
