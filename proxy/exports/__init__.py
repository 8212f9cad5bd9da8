"""A finished run as a Hugging Face checkpoint: safetensors, config.json and the tokenizer, which `transformers` loads
with the same logits.

`configs.py` says which published architecture computes exactly what ours does, `tensors.py` what each of its weights
is made of, `files.py` writes all of it one tensor at a time. Nothing here imports torch: a service exports too.
"""

from proxy.exports.files import ExportFile, checkpoint_files, tar_bytes, tar_chunks, write_folder

__all__ = ["ExportFile", "checkpoint_files", "tar_bytes", "tar_chunks", "write_folder"]
