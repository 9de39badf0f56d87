#!/usr/bin/env python3
"""Joint accuracy of two models side by side, by the temperature of their softmax (docs/joint.md).

Needs numpy and onnxruntime, and the pairs that train.py has made.
"""
import json
import os
import pathlib

import numpy as np
import onnxruntime as ort

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "onnx-zip" / "bench"
PAIRS = ["vit-0", "vit-1", "vit-2", "mobilenet-0", "mobilenet-1", "resnet20w16-0", "resnet20w16-1"]
TEMPERATURES = [0.5, 1, 2, 3, 5, 10]


def logits(name, images):
    session = ort.InferenceSession(CACHE / f"{name}.onnx")
    feed = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {feed: images[k:k + 500]})[0] for k in range(0, len(images), 500)])


def softmax(z, temperature):
    e = np.exp((z - z.max(1, keepdims=True)) / temperature)
    return e / e.sum(1, keepdims=True)


def standardised(z):
    top = z.max(1)
    return (z - top.mean()) / top.std()


def main():
    test = np.load(CACHE / "test.npz")
    for pair in PAIRS:
        heads = [f"{pair}-{h}" for h in "ab"]
        classes = np.concatenate([json.loads((CACHE / f"{h}.json").read_text())["classes"] for h in heads])
        z = [logits(h, test["input"]) for h in heads]

        def accuracy(rule):
            return 100 * np.mean(classes[np.concatenate([rule(x) for x in z], 1).argmax(1)] == test["label"])

        by_temperature = [f"T={t}: {accuracy(lambda x: softmax(x, t)):.1f}" for t in TEMPERATURES]
        print(f"{pair}: {', '.join(by_temperature)}, standardised: {accuracy(standardised):.1f}", flush=True)


if __name__ == "__main__":
    main()
