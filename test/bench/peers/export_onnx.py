"""A GGUF file as ONNX models that transformers.js runs: its weights in f32, and rounded to 4 bits.

python export_onnx.py FILE.gguf FOLDER
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

# The 4-bit model is what a user of transformers.js would run: weights rounded anew in blocks of 32.
MODELS = {
    "model": ["-p", "fp32", "-e", "cpu"],
    "model_q4": ["-p", "int4", "-e", "webgpu", "--extra_options", "block_size=32",
                 "is_symmetric=false", "shared_embeddings=false", "use_webgpu_fp32=true"],
}  # fmt: skip
CONFIG_FILES = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]


def write_hugging_face(file: Path, folder: Path) -> None:
    """The folder that the exporter reads. Prompts are token ids, so its tokenizer is never used."""
    source = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32).save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)


def write_onnx(source: Path, name: str, head_size: int, folder: Path) -> None:
    """The exporter's model with a fixed head size: it leaves it open, which transformers.js takes for 0."""
    model = onnx.load(source / "model.onnx", load_external_data=True)
    for value in [*model.graph.input, *model.graph.output]:
        if value.name.startswith(("past_key", "present")):
            value.type.tensor_type.shape.dim[3].dim_value = head_size
    onnx.save(model, folder / f"{name}.onnx", save_as_external_data=True, size_threshold=1024,
              all_tensors_to_one_file=True, location=f"{name}.onnx_data")  # fmt: skip


def main(file: Path, folder: Path) -> None:
    work = folder / "work"
    onnx_folder = folder / "onnx"
    onnx_folder.mkdir(parents=True, exist_ok=True)
    write_hugging_face(file, work / "hf")
    config = json.loads((work / "hf/config.json").read_text())
    head_size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    for name, options in MODELS.items():
        command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", work / "hf",
                   "-o", work / name, "-c", work / "cache", *options]  # fmt: skip
        subprocess.run(command, check=True)
        write_onnx(work / name, name, head_size, onnx_folder)
    for name in CONFIG_FILES:
        shutil.copy(work / "hf" / name, folder)
    external = {f"{name}.onnx": 1 for name in MODELS}
    config["transformers.js_config"] = {"use_external_data_format": external}
    (folder / "config.json").write_text(json.dumps(config))
    shutil.rmtree(work)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
