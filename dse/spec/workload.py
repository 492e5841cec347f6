"""Language models, workloads, and what a software stack attains."""

from __future__ import annotations

from typing import Any

from dse.spec.fields import (
    PRECISIONS,
    Named,
    count,
    flag,
    number,
    option,
    part,
    quantity,
    spec,
    text,
)

PHASES = ("decode", "prefill", "serve", "pretrain")

SAME = "same"
"""The decode_system that is the system that reads the prompts, in chips of their own."""


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
    window: float = count("tokens that a windowed layer's attention reaches back; 0 for all")
    windowed_layers: float = count("layers whose attention has the window")
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
    burst: float = number("share of the requests that all users send at once")
    prefix_hit: float = number("share of the prompt's tokens found in the cache", high=0.999)
    drafts: float = count("tokens that speculative decoding drafts for a step", high=64)
    acceptance: float = number("chance that a drafted token is accepted", high=0.999)
    decode_system: str = text(
        "system that decodes what another reads (phases decode, serve); same: one kind for both"
    )
    pays_prefill: float = flag("the decode fleet's cost includes the prefill of its prompts")
    global_batch: float = count("sequences in one optimiser step", low=1, default=1.0)
    total_tokens: float = quantity("1", "tokens a training run sees", low=1.0, high=1e18)
    chips: float = count("chips that work on it; 0 for one scale-up domain")
    weights: Any = option(PRECISIONS, "precision of weights", default="bf16")
    key_values: Any = option(PRECISIONS, "precision of the key-value cache", default="bf16")
    activations: Any = option(PRECISIONS, "precision of matrix operands", default="bf16")
    communication: Any = option(PRECISIONS, "precision of what crosses links", default="bf16")
    frozen: float = flag("training changes adapters of negligible size only (LoRA)")
    others: Any = option(
        ("same", *PRECISIONS),
        "precision of weights and operands outside routed experts, where it is not the experts'",
    )


@spec("software")
class Software(Named):
    """What a software stack attains of the hardware."""

    matrix: float = number("share of the array's peak that large matrix work attains", low=0.01)
    attention: float = number("share of the array's peak in attention; 0 for matrix's own")
    vector: float = number("share of the vector engines' peak", low=0.01)
    memory: float = number("share of memory bandwidth that streaming attains", low=0.01)
    network: float = number("share of link payload bandwidth that collectives attain", low=0.01)
    scale_out: float = number("share of the network between domains; 0 for network's own")
    launch: float = quantity("us", "fixed time of one operator")
    collective_launch: float = quantity("us", "fixed time of one collective")
    overlap: float = number("share of training communication that hides behind compute")
    request: float = quantity("ms", "time of a request outside of steps: network, tokeniser, queue")
    chunk: float = count(
        "prompt tokens that one step of continuous batching takes", low=1, default=8192.0
    )
    resident: float = number("share of SRAM that may keep weights between steps")
    host: float = quantity("us", "time between two decode steps: sampling, scheduling")
    gradient_bytes: float = quantity("B", "gradient of one parameter")
    optimiser_bytes: float = quantity("B", "master weight and moments of one parameter")
    imbalance: float = number("tokens of the busiest expert over the mean", low=1.0, high=10.0)
    decode_group: float = count(
        "queries (or a multiple) of one key with which decode attention uses the arrays", low=1
    )
    maturity: float = number(
        "speed of this version over its family's", low=0.1, high=2.0, default=1.0
    )
    fused: float = flag("attention keeps its scores on chip (FlashAttention)", default=1.0)
    tensor_overlap: float = number("share of a layer's own collectives that hides in training")
    narrow: float = number("share of BF16 matrix time that narrower operands do not shrink")
    one_shot: float = flag("small collectives go to all chips at once, not round", default=1.0)
    collective_cycles: float = number("core cycles of one collective's own code", high=1e6)
    hop_cycles: float = number("core cycles to take a message in and pass it on", high=1e6)
    bulk_cycles: float = number("core cycles to fill a bulk collective's pipeline", high=1e6)
    low_latency: float = number(
        "share of network in messages that carry their own flags", low=0.01, default=1.0
    )
    own_copy: float = number("time to copy a chip's own part over the time to send it")
    in_switch: float = number(
        "share of network that reduction in a switch attains", low=0.01, default=1.0
    )
    scale_out_launch: float = quantity("us", "software's time for one message between domains")
    ring_step: float = quantity("us", "time of one step of a ring collective beside the link's own")
    gathers: float = count("collectives that exchange one layer between replicas", default=1.0)
    attention_backward: float = number(
        "share of the array's peak in attention's backward pass; 0 for attention's own"
    )
    attention_cells: float = count(
        "multiply-accumulates that attention's instructions start in a core and cycle; 0 for all"
    )
    early_stop: float = flag(
        "full recomputation leaves out a layer's last product, whose result nothing needs"
    )
    experts: float = number(
        "share of the array's peak in products of routed experts; 0 for matrix's own"
    )
