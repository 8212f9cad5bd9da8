"""The proxy: a decoder-only transformer one reads in a sitting.

llama: RMSNorm (Zhang and Sennrich 2019) before each block, rotary positions (Su et al. 2021), causal attention, SwiGLU
(Shazeer 2020), no biases. gpt2: LayerNorm, learned positions, GELU in its tanh form, biases (Radford et al. 2019).
The embedding is tied to the output layer unless the architecture says otherwise. Weights are kept in fp32 and cast to
the compute type where they are used, so updates smaller than 2^-8 of a weight are not lost.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from proxy.lm.embedding import embed
from proxy.lm.losses import mean_nats, target_nats
from proxy.protocols import Architecture

ROPE_BASE = 10_000.0
EMBEDDING_STD = 0.02
NORM_EPSILON = 1e-6
GPT2_STD = 0.02
GPT2_NORM_EPSILON = 1e-5


class Block(nn.Module):
    """One layer: attention, then SwiGLU, each added to the residual stream."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width, hidden = architecture.width, architecture.hidden
        self.heads = architecture.heads
        self.attention_norm = nn.Parameter(torch.ones(width))
        self.qkv = nn.Parameter(torch.empty(3 * width, width))
        self.attention_out = nn.Parameter(torch.empty(width, width))
        self.mlp_norm = nn.Parameter(torch.ones(width))
        self.gate_up = nn.Parameter(torch.empty(2 * hidden, width))
        self.down = nn.Parameter(torch.empty(width, hidden))
        if architecture.qk_norm:
            self.query_norm = nn.Parameter(torch.ones(architecture.head_width))
            self.key_norm = nn.Parameter(torch.ones(architecture.head_width))
        self.qk_norm = architecture.qk_norm

    def forward(self, x_BTW: Tensor, cos_TC: Tensor, sin_TC: Tensor) -> Tensor:
        x_BTW = x_BTW + self._attend(normalise(x_BTW, self.attention_norm), cos_TC, sin_TC)
        gate, up = linear(normalise(x_BTW, self.mlp_norm), self.gate_up).chunk(2, dim=-1)
        return x_BTW + linear(F.silu(gate) * up, self.down)

    def _attend(self, x_BTW: Tensor, cos_TC: Tensor, sin_TC: Tensor) -> Tensor:
        B, T, W = x_BTW.shape
        qkv = linear(x_BTW, self.qkv).view(B, T, 3, self.heads, W // self.heads)
        q_BHTC, k_BHTC, v_BHTC = qkv.permute(2, 0, 3, 1, 4)
        if self.qk_norm:
            q_BHTC, k_BHTC = normalise(q_BHTC, self.query_norm), normalise(k_BHTC, self.key_norm)
        q_BHTC, k_BHTC = rotate(q_BHTC, cos_TC, sin_TC), rotate(k_BHTC, cos_TC, sin_TC)
        mixed_BHTC = attend(q_BHTC, k_BHTC, v_BHTC)
        return linear(mixed_BHTC.transpose(1, 2).reshape(B, T, W), self.attention_out)


class GPT2Block(nn.Module):
    """One layer of the gpt2 family; every matrix has a bias."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width, hidden = architecture.width, architecture.hidden
        self.heads = architecture.heads
        self.attention_norm, self.attention_norm_bias = _gain_and_bias(width)
        self.qkv, self.qkv_bias = _matrix_and_bias(3 * width, width)
        self.attention_out, self.attention_out_bias = _matrix_and_bias(width, width)
        self.mlp_norm, self.mlp_norm_bias = _gain_and_bias(width)
        self.up, self.up_bias = _matrix_and_bias(hidden, width)
        self.down, self.down_bias = _matrix_and_bias(width, hidden)

    def forward(self, x_BTW: Tensor) -> Tensor:
        x_BTW = x_BTW + self._attend(standardise(x_BTW, self.attention_norm, self.attention_norm_bias))
        up = linear(standardise(x_BTW, self.mlp_norm, self.mlp_norm_bias), self.up, self.up_bias)
        return x_BTW + linear(F.gelu(up, approximate="tanh"), self.down, self.down_bias)

    def _attend(self, x_BTW: Tensor) -> Tensor:
        B, T, W = x_BTW.shape
        qkv = linear(x_BTW, self.qkv, self.qkv_bias).view(B, T, 3, self.heads, W // self.heads)
        mixed_BHTC = attend(*qkv.permute(2, 0, 3, 1, 4))
        return linear(mixed_BHTC.transpose(1, 2).reshape(B, T, W), self.attention_out, self.attention_out_bias)


def _matrix_and_bias(rows: int, columns: int) -> tuple[nn.Parameter, nn.Parameter]:
    return nn.Parameter(torch.empty(rows, columns)), nn.Parameter(torch.zeros(rows))


def _gain_and_bias(width: int) -> tuple[nn.Parameter, nn.Parameter]:
    return nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))


class ProxyModel(nn.Module):
    """Tokens in, the last hidden state out; `loss` and `target_nats` add the output layer.

    `z_loss` is a coefficient; `recomputes` lets the backward pass compute each layer again instead of keeping it.
    """

    cos_TC: Tensor
    sin_TC: Tensor

    def __init__(
        self,
        architecture: Architecture,
        compute_dtype: torch.dtype = torch.float32,
        *,
        z_loss: float = 0.0,
        recomputes: bool = False,
    ) -> None:
        super().__init__()
        self.architecture, self.compute_dtype = architecture, compute_dtype
        self.z_loss, self.recomputes = z_loss, recomputes
        self.is_gpt2 = architecture.family == "gpt2"
        width, vocabulary = architecture.width, architecture.vocabulary
        self.embedding = nn.Parameter(torch.empty(vocabulary, width))
        block = GPT2Block if self.is_gpt2 else Block
        self.blocks = nn.ModuleList(block(architecture) for _ in range(architecture.layers))
        self.final_norm = nn.Parameter(torch.ones(width))
        if self.is_gpt2:
            self.positions = nn.Parameter(torch.empty(architecture.context_tokens, width))
            self.final_norm_bias = nn.Parameter(torch.zeros(width))
        else:
            self._keep_rotary_table()
        if not architecture.tied_embeddings:
            self.output = nn.Parameter(torch.empty(vocabulary, width))

    def _keep_rotary_table(self) -> None:
        cos_TC, sin_TC = rotary_table(self.architecture.context_tokens, self.architecture.head_width)
        self.register_buffer("cos_TC", cos_TC.to(self.compute_dtype), persistent=False)
        self.register_buffer("sin_TC", sin_TC.to(self.compute_dtype), persistent=False)

    @torch.no_grad()
    def draw_weights(self, generator: torch.Generator) -> None:
        """Normal weights: σ = 0.02 for the embedding, 1/√fan-in for matrices (gpt2: 0.02 for all, as published), those
        that write to the residual stream divided by √(2 × layers) as in GPT-2. Norm gains are one and biases zero: the
        first loss is about ln(vocabulary)."""
        residual_scale = (2 * self.architecture.layers) ** -0.5
        for name, parameter in self.named_parameters():
            if parameter.ndim < 2:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            std = EMBEDDING_STD if name == "embedding" else parameter.shape[1] ** -0.5
            if self.is_gpt2:
                std = GPT2_STD
            if name.endswith(("attention_out", "down")):
                std *= residual_scale
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)

    @property
    def output_layer(self) -> Tensor:
        """The matrix that makes logits of the last hidden state, [V, W]."""
        return self.embedding if self.architecture.tied_embeddings else self.output

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        """Last hidden state, normalised, in the compute type."""
        T = tokens_BT.shape[1]
        x_BTW = self._embed(tokens_BT).to(self.compute_dtype)
        tables = () if self.is_gpt2 else (self.cos_TC[:T], self.sin_TC[:T])
        for block in self.blocks:
            if self.recomputes and torch.is_grad_enabled():
                x_BTW = checkpoint(block, x_BTW, *tables, use_reentrant=False)
            else:
                x_BTW = block(x_BTW, *tables)
        if self.is_gpt2:
            return standardise(x_BTW, self.final_norm, self.final_norm_bias)
        return normalise(x_BTW, self.final_norm)

    def _embed(self, tokens_BT: Tensor) -> Tensor:
        x_BTW = embed(tokens_BT, self.embedding)
        if self.is_gpt2:
            return x_BTW + self.positions[: tokens_BT.shape[1]]
        # The embedding is small because it is the output layer too; at its own size the layers' sums would drown it.
        # Normalising it here took a 0.2M proxy's loss after 410k tokens from 5.28 to 4.66 nats.
        return x_BTW if self.architecture.plain_embedding else normalise(x_BTW)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Logits in fp32, computed in fp32: what evaluation reads."""
        return F.linear(self.hidden(tokens_BT).float(), self.output_layer)

    def loss(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        """Mean nats a token; the output layer's product in the compute type, the softmax in fp32.

        The z-loss is in the gradient alone: curves of runs with and without it compare."""
        return mean_nats(self.hidden(inputs_BT).flatten(0, 1), self.output_layer, targets_BT.flatten(), self.z_loss)

    def hidden_rows(self, tokens_BT: Tensor) -> Tensor:
        """The last hidden state of each position for the output layer of `target_nats`, fp32[B × T, W]."""
        return self.hidden(tokens_BT).flatten(0, 1).float()

    def target_nats(self, hidden_NW: Tensor, targets_N: Tensor) -> Tensor:
        """Nats of the target that follows each of these positions, fp32 logits, [N]."""
        return target_nats(hidden_NW, self.output_layer, targets_N)


def attend(q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor) -> Tensor:
    """Causal attention. On a CPU the fused kernel's backward takes 60 % of a small model's step (measured), so there
    the two products are written out and the compiler fuses the rest; elsewhere PyTorch's own kernel is used."""
    if q_BHTC.device.type != "cpu":
        return F.scaled_dot_product_attention(q_BHTC, k_BHTC, v_BHTC, is_causal=True)
    T, C = q_BHTC.shape[-2:]
    scores_BHTT = (q_BHTC @ k_BHTC.transpose(-2, -1)).float() * C**-0.5
    # Added and not filled in: to the bit the same, and the backward pass reads no mask. Measured: 5 % of a 1M step.
    future_TT = torch.full((T, T), float("-inf"), device=q_BHTC.device).triu(1)
    weights_BHTT: Tensor = (scores_BHTT + future_TT).softmax(dim=-1).to(v_BHTC.dtype)
    return weights_BHTT @ v_BHTC


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weightᵀ + bias in the type of x."""
    return F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


def standardise(x_BTW: Tensor, gain_W: Tensor, bias_W: Tensor) -> Tensor:
    """LayerNorm with its statistics in fp32."""
    return F.layer_norm(x_BTW.float(), gain_W.shape, gain_W, bias_W, GPT2_NORM_EPSILON).to(x_BTW.dtype)


def normalise(x_BTW: Tensor, gain_W: Tensor | None = None) -> Tensor:
    """RMSNorm over the last axis with its statistics in fp32."""
    x = x_BTW.float()
    normal_BTW: Tensor = x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + NORM_EPSILON)
    return (normal_BTW if gain_W is None else normal_BTW * gain_W).to(x_BTW.dtype)


def rotary_table(context_tokens: int, channels: int) -> tuple[Tensor, Tensor]:
    """cos and sin of position × frequency, each half of the channels repeated, [T, C]."""
    frequency = ROPE_BASE ** (-torch.arange(0, channels, 2, dtype=torch.float64) / channels)
    angle = torch.arange(context_tokens, dtype=torch.float64)[:, None] * frequency
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos().float(), angle.sin().float()


def rotate(x_BHTC: Tensor, cos_TC: Tensor, sin_TC: Tensor) -> Tensor:
    """Turns each pair of channels (c, c + C/2) by its position's angle."""
    first, second = x_BHTC.chunk(2, dim=-1)
    return x_BHTC * cos_TC + torch.cat([-second, first], dim=-1) * sin_TC
