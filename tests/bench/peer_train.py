#!/usr/bin/python3
"""The peer of build/bench_train: the same Transformer in PyTorch on one thread, as a user would write it.

Sequential pre-LayerNorm blocks, biases, learned positions, GELU (tanh), an untied head, AdamW with global-norm clipping.
Prints one `key value` pair a line.
"""
import argparse
import math
import time

import torch
import torch.nn.functional as F
from torch import nn

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--layers", type=int, default=6)
options.add_argument("--width", type=int, default=256)
options.add_argument("--heads", type=int, default=8)
options.add_argument("--context", type=int, default=128)
options.add_argument("--batch", type=int, default=32)
options.add_argument("--vocab", type=int, default=256)
options.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
options.add_argument("--seconds", type=float, default=5)
options = options.parse_args()


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.attn_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.ffn_in, self.ffn_out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask):
        b, t, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(d // self.heads) + mask
        y = (F.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(b, t, d)
        x = x + self.attn_out(y)
        return x + self.ffn_out(F.gelu(self.ffn_in(self.ln2(x)), approximate="tanh"))


class Model(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.embedding, self.position = nn.Embedding(o.vocab, o.width), nn.Embedding(o.context, o.width)
        self.blocks = nn.ModuleList(Block(o.width, o.heads) for _ in range(o.layers))
        self.final, self.head = nn.LayerNorm(o.width), nn.Linear(o.width, o.vocab, bias=False)
        mask = torch.full((o.context, o.context), float("-inf")).triu(1)
        self.register_buffer("mask", mask)

    def forward(self, tokens):
        x = self.embedding(tokens) + self.position.weight
        for block in self.blocks:
            x = block(x, self.mask)
        return self.head(self.final(x))


torch.set_num_threads(1)
torch.manual_seed(1)
model = Model(options)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
data = torch.randint(options.vocab, (16, options.batch, options.context + 1))


def step(i):
    window = data[i % len(data)]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "bf16"):
        logits = model(window[:, :-1])
        loss = F.cross_entropy(logits.float().reshape(-1, options.vocab), window[:, 1:].reshape(-1))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


step(0)
steps, begun = 0, time.monotonic()
while time.monotonic() - begun < options.seconds:
    step(steps + 1)
    steps += 1
elapsed = time.monotonic() - begun
print("torch", torch.__version__)
print("precision", options.precision)
print("tokens_per_second %.0f" % (steps * options.batch * options.context / elapsed))
