"""The Keras networks of the zoo: NHWC, converted by tf2onnx, which puts Transposes around what needs NCHW."""

import hashlib

import numpy as np


def build(arch, classes):
    import keras
    from keras import layers as L
    x = inputs = keras.Input((32, 32, 3), name="input")
    if arch == "keras_cnn":
        for filters in (8, 12, 16):
            x = L.Conv2D(filters, 3, padding="same")(x)
            x = L.BatchNormalization()(x)
            x = L.ReLU()(x)
            x = L.MaxPooling2D()(x)
        x = L.Flatten()(x)  # 4x4 positions, channels last
        x = L.Dense(24, activation="relu")(x)
        x = L.Dropout(0.3)(x)
    else:
        x = L.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
        x = L.ReLU(6.0)(L.BatchNormalization()(x))
        for filters, stride in ((12, 1), (16, 2), (16, 1), (24, 2), (24, 1)):
            y = L.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x)
            y = L.ReLU(6.0)(L.BatchNormalization()(y))
            y = L.Conv2D(filters, 1, padding="same", use_bias=False)(y)
            y = L.BatchNormalization()(y)
            if filters == 16 and stride == 1:  # squeeze and excite, and a residual
                s = L.GlobalAveragePooling2D(keepdims=True)(y)
                s = L.Conv2D(4, 1, activation="relu")(s)
                s = L.Conv2D(16, 1, activation="hard_sigmoid")(s)
                y = L.Add()([x, L.Multiply()([y, s])])
            x = L.ReLU(6.0)(y)
        x = L.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, L.Dense(classes, name="logits")(x))


def randomise(model, seed):
    """As zoo_nets.randomise: distinct random values everywhere, drawn from the seed and the place."""
    for i, layer in enumerate(model.layers):
        for w in layer.weights:
            digest = hashlib.sha256(f"{seed}/{i}/{w.name}".encode()).digest()
            rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
            shape = tuple(w.shape)
            if w.name == "gamma":
                v = rng.uniform(0.5, 1.5, shape)
            elif w.name == "moving_variance":
                v = rng.uniform(0.5, 2.0, shape)
            elif w.name in ("beta", "moving_mean", "bias"):
                v = 0.2 * rng.standard_normal(shape)
            else:  # kernels: the last axis is the output; a depthwise kernel has fan-in height * width
                fan = np.prod(shape[:2] if "depthwise" in layer.name else shape[:-1])
                v = 1.5 / np.sqrt(fan) * rng.standard_normal(shape)
            w.assign(v.astype(np.float32))


def export(work, name, recipe):
    import keras
    import onnx
    import tensorflow as tf
    import tf2onnx
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    model = build(recipe["arch"], 7)
    randomise(model, f"{recipe['arch']}/{recipe['weights']}")
    digest = hashlib.sha256(f"inputs/{recipe['arch']}".encode()).digest()
    x = np.random.default_rng(int.from_bytes(digest[:8], "little")).standard_normal((2, 32, 32, 3)).astype(np.float32)
    np.savez(work / f"{name}.npz", in_input=x, out_0=np.asarray(model(x, training=False)))

    @tf.function(input_signature=[tf.TensorSpec((None, 32, 32, 3), tf.float32, name="input")])
    def logits(input):
        return tf.identity(model(input, training=False), name="logits")

    proto, _ = tf2onnx.convert.from_function(logits, logits.input_signature, opset=recipe["opset"])
    onnx.save(proto, work / f"{name}.onnx")
    return {"exporter": f"tf2onnx {tf2onnx.__version__}, Keras {keras.__version__}, TensorFlow {tf.__version__}"}
