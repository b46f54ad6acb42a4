"""What a sentence means: all-MiniLM-L6-v2 (arXiv 1908.10084, 2002.10957), 384 numbers, eight-bit weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from semcom import pretrained
from semcom.vision import extra


def similarity(a: str, b: str) -> float:
    """Cosine of two sentences: 1 for the same, about 0 for unrelated ones.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        PretrainedError: the weights cannot be fetched.
    """
    return float(_embedded(a) @ _embedded(b))


@cache
def _embedded(sentence: str) -> Any:
    session, words = _models()
    ids = np.array([words.encode(sentence).ids], np.int64)
    names = {entry.name for entry in session.get_inputs()}
    values = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    mean = session.run(None, {k: v for k, v in values.items() if k in names})[0][0].mean(0)
    return mean / np.linalg.norm(mean)


@cache
def _models() -> tuple[Any, Any]:
    runtime = extra("onnxruntime", "the similarity of captions")
    from tokenizers import Tokenizer

    words = Tokenizer.from_str(pretrained.file_of("minilm-words").decode())
    words.no_padding()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    model = pretrained.file_of("minilm")
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"]), words
