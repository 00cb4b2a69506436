"""An independent reference for the unit tests: the model of METHOD §1 and AdamW in PyTorch, float64.

Writes model.txt (loss and every gradient tensor of one batch, per configuration) and adamw.txt (the
parameters after each step) beside this file. Run it through regenerate.sh; it needs PyTorch >= 1.13.
It shares no code with the program: plain tensor formulas and autograd.
"""

import math
import os
import struct

import torch
import torch.nn.functional as F

V, D, HEADS, FFN, LAYERS, CONTEXT, BATCH = 16, 8, 2, 12, 2, 6, 3
HEAD = D // HEADS

MODEL_HEADER = f"""\
# Loss and gradients of the model of METHOD §1, float64; written by tests/golden/reference.py.
# vocabulary {V}, d_model {D}, heads {HEADS}, d_ff {FFN}, layers {LAYERS}, context {CONTEXT}, windows {BATCH}
#
# Lines that begin with # are comments; everything else is words separated by white space. Blocks:
#     config block=… position=… activation=… bias=0|1 tied=0|1
#     loss L                    mean cross-entropy, nats, over all positions of all windows
#     name count                for each tensor that the configuration has, in storage order, and then
#     g g g …                   its count gradient values, row-major, eight per line
#
# Parameters: element i of the t-th tensor of the configuration (both from 0, i row-major) is
# 1 + 0.1 sin(0.7 i + t) for gains and 0.2 sin(1.3 i + 0.9 t + 0.5) for all others, computed in double
# and rounded to float32. Tokens: window b, position p = 0 … context: (7 b + 3 p p + p) mod vocabulary.
"""

ADAMW_HEADER = """\
# Five steps of AdamW with decoupled weight decay on six parameters, float64; written by
# tests/golden/reference.py. Learning rate 0.01, betas 0.9 0.95, epsilon 1e-8, weight decay 0.1.
# Element i starts at cos(1.1 i); its gradient in step k = 1 … 5 is sin(0.3 k (i + 1)) + 0.1 i.
# Lines: k, then the six parameters after step k (k = 0: the start).
"""


def float32(x):
    """The nearest float32, as a double."""
    return struct.unpack("f", struct.pack("f", x))[0]


def shapes(block, position, activation, bias, tied):
    """(name, shape) of every tensor, in storage order."""
    width = 2 * FFN if activation == "swiglu" else FFN
    out = [("embedding", (V, D))]
    if position == "learned":
        out.append(("position", (CONTEXT, D)))
    for layer in range(LAYERS):
        linears = [("qkv", 3 * D, D), ("attn_out", D, D), ("ffn_in", width, D), ("ffn_out", D, FFN)]
        norm_before = {"qkv": "ln1"}
        if block == "sequential":
            norm_before["ffn_in"] = "ln2"
        for name, rows, columns in linears:
            if name in norm_before:
                norm = f"{layer}.{norm_before[name]}"
                out += [(norm + "_gain", (D,)), (norm + "_bias", (D,))]
            out.append((f"{layer}.{name}", (rows, columns)))
            if bias:
                out.append((f"{layer}.{name}_bias", (rows,)))
    out += [("final_gain", (D,)), ("final_bias", (D,))]
    if not tied:
        out.append(("head", (V, D)))
    return out


def parameters(tensors):
    """Name -> leaf tensor, filled by the formula of the file header."""
    result = {}
    for t, (name, shape) in enumerate(tensors):
        count = math.prod(shape)
        if name.endswith("_gain"):
            values = [1 + 0.1 * math.sin(0.7 * i + t) for i in range(count)]
        else:
            values = [0.2 * math.sin(1.3 * i + 0.9 * t + 0.5) for i in range(count)]
        values = torch.tensor([float32(x) for x in values], dtype=torch.float64)
        result[name] = values.reshape(shape).requires_grad_(True)
    return result


def layer_norm(x, gain, bias):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5) * gain + bias


def linear(p, name, x):
    y = x @ p[name].T
    return y + p[name + "_bias"] if name + "_bias" in p else y


def rotate(x):
    """Rotary positions on [windows, heads, tokens, head]: channel c turns with channel c + head/2."""
    half = HEAD // 2
    angle = torch.tensor(
        [[pos * 10000.0 ** (-2.0 * c / HEAD) for c in range(half)] for pos in range(CONTEXT)],
        dtype=torch.float64,
    )
    a, b = x[..., :half], x[..., half:]
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


def attention(p, layer, x, position):
    q, k, v = linear(p, f"{layer}.qkv", x).split(D, dim=-1)
    q, k, v = (y.reshape(BATCH, CONTEXT, HEADS, HEAD).transpose(1, 2) for y in (q, k, v))
    if position == "rotary":
        q, k = rotate(q), rotate(k)
    scores = q @ k.transpose(-1, -2) / math.sqrt(HEAD)
    future = torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).triu(1)
    weights = torch.softmax(scores.masked_fill(future, -math.inf), -1)
    y = (weights @ v).transpose(1, 2).reshape(BATCH, CONTEXT, D)
    return linear(p, f"{layer}.attn_out", y)


def ffn(p, layer, x, activation):
    h = linear(p, f"{layer}.ffn_in", x)
    if activation == "gelu":
        a = 0.5 * h * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
    elif activation == "relu":
        a = torch.clamp(h, min=0)
    else:
        gate, up = h[..., :FFN], h[..., FFN:]
        a = gate * torch.sigmoid(gate) * up
    return linear(p, f"{layer}.ffn_out", a)


def loss_of(p, block, position, activation):
    tokens = torch.tensor(
        [[(7 * b + 3 * i * i + i) % V for i in range(CONTEXT + 1)] for b in range(BATCH)]
    )
    x = p["embedding"][tokens[:, :-1]]
    if position == "learned":
        x = x + p["position"]
    for layer in range(LAYERS):
        y = layer_norm(x, p[f"{layer}.ln1_gain"], p[f"{layer}.ln1_bias"])
        branch = attention(p, layer, y, position)
        if block == "parallel":
            x = x + branch + ffn(p, layer, y, activation)
        else:
            x = x + branch
            y = layer_norm(x, p[f"{layer}.ln2_gain"], p[f"{layer}.ln2_bias"])
            x = x + ffn(p, layer, y, activation)
    x = layer_norm(x, p["final_gain"], p["final_bias"])
    logits = x @ p["head" if "head" in p else "embedding"].T
    return F.cross_entropy(logits.reshape(-1, V), tokens[:, 1:].reshape(-1))


def write(path, lines):
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        file.write("".join(lines))
    os.replace(path + ".tmp", path)


def model_file(path):
    configurations = [
        (block, position, activation, True, False)
        for block in ("parallel", "sequential")
        for position in ("rotary", "learned")
        for activation in ("gelu", "swiglu")
    ]
    configurations += [
        ("parallel", "rotary", "relu", True, False),
        ("sequential", "learned", "gelu", False, False),
        ("parallel", "rotary", "gelu", True, True),
    ]
    lines = [MODEL_HEADER]
    for block, position, activation, bias, tied in configurations:
        p = parameters(shapes(block, position, activation, bias, tied))
        loss = loss_of(p, block, position, activation)
        loss.backward()
        lines.append(
            f"config block={block} position={position} activation={activation} "
            f"bias={int(bias)} tied={int(tied)}\n"
        )
        lines.append(f"loss {loss.item():.12g}\n")
        for name, tensor in p.items():
            # What is zero in exact arithmetic (the bias of k) is zero here, whatever the rounding.
            gradient = [x if abs(x) > 1e-15 else 0.0 for x in tensor.grad.reshape(-1).tolist()]
            values = [f"{x:.9g}" for x in gradient]
            lines.append(f"{name} {len(values)}\n")
            lines += [" ".join(values[i : i + 8]) + "\n" for i in range(0, len(values), 8)]
    write(path, lines)


def adamw_file(path):
    count = 6
    x = torch.tensor([math.cos(1.1 * i) for i in range(count)], dtype=torch.float64)
    x.requires_grad_(True)
    optimizer = torch.optim.AdamW([x], lr=0.01, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    lines = [ADAMW_HEADER]
    for k in range(6):
        if k > 0:
            x.grad = torch.tensor(
                [math.sin(0.3 * k * (i + 1)) + 0.1 * i for i in range(count)], dtype=torch.float64
            )
            optimizer.step()
        lines.append(f"{k} " + " ".join(f"{value:.15g}" for value in x.tolist()) + "\n")
    write(path, lines)


if __name__ == "__main__":
    folder = os.path.dirname(os.path.abspath(__file__))
    torch.set_num_threads(1)
    model_file(os.path.join(folder, "model.txt"))
    adamw_file(os.path.join(folder, "adamw.txt"))
