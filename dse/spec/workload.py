"""Language models, workloads, and what a software stack attains."""

from __future__ import annotations

from typing import Any

from dse.spec.fields import PRECISIONS, Named, count, flag, number, option, part, quantity, spec

PHASES = ("decode", "prefill", "pretrain")


@spec()
class LatentAttention:
    """Multi-head latent attention: keys and values held as one low-rank vector a token."""

    query_rank: float = count("rank of the query compression; 0 without latent attention")
    rank: float = count("rank of the cached key-value vector")
    nope: float = count("head dimension without position")
    rope: float = count("head dimension with position, shared by all heads")
    value: float = count("head dimension of the values")


@spec("model")
class LanguageModel(Named):
    """A transformer's dimensions."""

    layers: float = count("layers", low=1, default=1.0)
    hidden: float = count("width of the residual stream", low=1, default=1.0)
    heads: float = count("query heads", low=1, default=1.0)
    key_value_heads: float = count("key and value heads", low=1, default=1.0)
    head_dimension: float = count("dimension of a head", low=1, default=1.0)
    ffn: float = count("width of the dense feed-forward layer")
    gated: float = flag("the feed-forward layer has a gate (three matrices, not two)", default=1.0)
    vocabulary: float = count("tokens known", low=1, default=1.0)
    tied: float = flag("input and output embeddings are one matrix")
    experts: float = count("routed experts of a layer; 0 for a dense model")
    experts_per_token: float = count("routed experts a token visits")
    expert_ffn: float = count("width of one expert")
    shared_experts: float = count("experts that every token visits")
    dense_layers: float = count("layers without experts; all of a dense model's")
    latent: LatentAttention = part(LatentAttention, "latent attention, where the model has it")


@spec("workload")
class Workload(Named):
    """What is asked of a system: lengths, limits, precisions."""

    phase: Any = option(PHASES, "what runs")
    tokens_in: float = count("prompt tokens of a request", low=1, default=1.0)
    tokens_out: float = count("tokens a request generates", low=1, default=1.0)
    tpot: float = quantity("ms", "limit on the time per output token", low=1e-9, default=86400.0)
    ttft: float = quantity("ms", "limit on the time to the first token", low=1e-9, default=86400.0)
    concurrency: float = count("requests that are there at once", low=1, default=1e7)
    pays_prefill: float = flag("the decode fleet's cost includes the prefill of its prompts")
    global_batch: float = count("sequences in one optimiser step", low=1, default=1.0)
    total_tokens: float = quantity("1", "tokens a training run sees", low=1.0, high=1e18)
    chips: float = count("chips that work on it; 0 for one scale-up domain")
    weights: Any = option(PRECISIONS, "precision of weights", default="bf16")
    key_values: Any = option(PRECISIONS, "precision of the key-value cache", default="bf16")
    activations: Any = option(PRECISIONS, "precision of matrix operands", default="bf16")
    communication: Any = option(PRECISIONS, "precision of what crosses links", default="bf16")


@spec("software")
class Software(Named):
    """What a software stack attains of the hardware."""

    matrix: float = number("share of the array's peak that large matrix work attains", low=0.01)
    vector: float = number("share of the vector engines' peak", low=0.01)
    memory: float = number("share of memory bandwidth that streaming attains", low=0.01)
    network: float = number("share of link payload bandwidth that collectives attain", low=0.01)
    launch: float = quantity("us", "fixed time of one operator")
    collective_launch: float = quantity("us", "fixed time of one collective")
    overlap: float = number("share of training communication that hides behind compute")
    resident: float = number("share of SRAM that may keep weights between steps")
    host: float = quantity("us", "time between two decode steps: sampling, scheduling")
    gradient_bytes: float = quantity("B", "gradient of one parameter")
    optimiser_bytes: float = quantity("B", "master weight and moments of one parameter")
    imbalance: float = number("tokens of the busiest expert over the mean", low=1.0, high=10.0)
