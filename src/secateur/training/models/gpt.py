"""A small GPT for characters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import ModelError

__all__ = ["GPT", "Block"]


class Attention(nn.Module):
    """Causal self-attention over all heads at once.

    Args:
        n_embd: width of the residual stream.
        n_head: heads; they divide the width among them.
        dropout: probability, on the attention weights and on the output.
    """

    def __init__(self, n_embd: int, n_head: int, dropout: float) -> None:
        super().__init__()
        self.n_head, self.head_dim = n_head, n_embd // n_head
        self.qkv = nn.Linear(n_embd, 3 * n_embd)
        self.proj = nn.Linear(n_embd, n_embd)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``[b, t, n_embd]`` to the same."""
        b, t, _ = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.n_head, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        drop = self.dropout.p if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=drop)
        out: Tensor = self.dropout(self.proj(y.transpose(1, 2).reshape(b, t, -1)))
        return out


class Block(nn.Module):
    """Layer norm, attention, added; layer norm, two linear layers with GELU, added.

    Args:
        n_embd: width of the residual stream.
        n_head: heads.
        dropout: probability, on both branches.
    """

    def __init__(self, n_embd: int, n_head: int, dropout: float) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(n_embd)
        self.attn = Attention(n_embd, n_head, dropout)
        self.ln2 = nn.LayerNorm(n_embd)
        self.fc = nn.Linear(n_embd, 4 * n_embd)
        self.proj = nn.Linear(4 * n_embd, n_embd)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``[b, t, n_embd]`` to the same."""
        x = x + self.attn(self.ln1(x))
        hidden = F.gelu(self.fc(self.ln2(x)))
        out: Tensor = x + self.dropout(self.proj(hidden))
        return out


class GPT(nn.Module):
    """A pre-norm causal transformer; the output layer has weights of its own.

    Args:
        vocab_size: different characters.
        block_size: longest sequence.
        n_layer: blocks.
        n_head: heads a block.
        n_embd: width of the residual stream, a multiple of ``n_head``.
        dropout: probability, throughout.

    Raises:
        ModelError: the width is not a multiple of the heads, or a sequence is too long.

    Example:
        >>> GPT(vocab_size=65, block_size=16)(torch.zeros(2, 16, dtype=torch.int64)).shape
        torch.Size([2, 16, 65])

    Source: A. Radford et al., "Language Models are Unsupervised Multitask Learners", 2019 (initialisation included).
    """

    def __init__(
        self,
        vocab_size: int = 65,
        block_size: int = 128,
        n_layer: int = 4,
        n_head: int = 4,
        n_embd: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(vocab_size, block_size, n_layer, n_head, n_embd) < 1 or n_embd % n_head:
            raise ModelError(f"GPT needs sizes ≥ 1 and n_embd a multiple of n_head; got n_embd={n_embd}, n_head={n_head}")
        self.block_size = block_size
        self.token = nn.Embedding(vocab_size, n_embd)
        self.position = nn.Embedding(block_size, n_embd)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(n_embd, n_head, dropout) for _ in range(n_layer)))
        self.ln = nn.LayerNorm(n_embd)
        self.head = nn.Linear(n_embd, vocab_size, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        # every block adds two branches to the residual stream; the smaller std keeps its variance independent of depth
        branch = 0.02 / (2 * len(self.blocks)) ** 0.5
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=branch if name.endswith("proj.weight") else 0.02)
            else:
                nn.init.constant_(p, 1.0 if name.endswith("weight") else 0.0)

    def forward(self, tokens: Tensor) -> Tensor:
        """Characters ``[b, t]``, int64, to logits of the next one ``[b, t, vocab_size]``."""
        t = tokens.shape[1]
        if t > self.block_size:
            raise ModelError(f"GPT takes at most {self.block_size} characters (block_size); got {t}")
        x = self.dropout(self.token(tokens) + self.position(torch.arange(t, device=tokens.device)))
        logits: Tensor = self.head(self.ln(self.blocks(x)))
        return logits
