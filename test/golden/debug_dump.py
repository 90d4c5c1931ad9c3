"""Every stage of one forward pass as raw f32 files, for finding the first layer that differs."""

import json
from pathlib import Path

import torch


def dump_layers(model, ids: list[int], out: Path) -> None:
    """Writes `NAME.bin` (little-endian f32, row-major) per stage and `index.json` with the shapes.

    q and k are those of transformers, after RoPE by rotated halves: within a head of size d the pair
    (i, i + d/2) here is the pair (2i, 2i + 1) of a GGUF `llama` file's own row order.
    """
    out.mkdir(parents=True, exist_ok=True)
    index = {"tokenIds": ids, "files": {}}

    def save(name: str, tensor: torch.Tensor) -> None:
        array = tensor.detach().float().contiguous().numpy()
        array.tofile(out / f"{name}.bin")
        index["files"][f"{name}.bin"] = list(array.shape)

    def attention_hook(layer: int):
        def hook(module, args, kwargs, output):
            hidden = kwargs["hidden_states"]
            cos, sin = kwargs["position_embeddings"]
            shape = (*hidden.shape[:2], -1, module.head_dim)
            save(f"layer{layer:02}.attn_in", hidden[0])
            for name, proj in (("q", module.q_proj), ("k", module.k_proj), ("v", module.v_proj)):
                x = proj(hidden).view(shape)
                if name != "v":
                    first, second = x.chunk(2, dim=-1)
                    turned = torch.cat((-second, first), dim=-1)
                    x = x * cos[:, :, None] + turned * sin[:, :, None]
                save(f"layer{layer:02}.{name}", x[0])
            save(f"layer{layer:02}.attn_out", output[0][0])

        return hook

    hooks = []
    for i, layer in enumerate(model.model.layers):
        hooks.append(layer.self_attn.register_forward_hook(attention_hook(i), with_kwargs=True))
        for name, module in (("heads_out", layer.self_attn.o_proj), ("mlp_in", layer.mlp)):
            hooks.append(module.register_forward_hook(
                lambda m, args, o, i=i, name=name: save(f"layer{i:02}.{name}", args[0][0])))
        hooks.append(layer.mlp.register_forward_hook(
            lambda m, args, o, i=i: save(f"layer{i:02}.mlp_out", o[0])))
    out_all = model(torch.tensor([ids]), use_cache=False, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    for i, hidden in enumerate(out_all.hidden_states):
        last = i == len(model.model.layers)  # transformers norms the last one
        save("final_norm" if last else f"layer{i:02}.hidden_in", hidden[0])
    save("logits", out_all.logits[0])
    (out / "index.json").write_text(json.dumps(index, indent=1))
    print(f"{len(index['files'])} files in {out}")
