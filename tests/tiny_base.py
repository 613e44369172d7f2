"""A base for tests in which it does not matter which: traced and saved in a moment."""

import keras


def build(height: int, width: int, weights: str | None) -> keras.Model:
    """Makes a base of three convolutions with batch normalisation; it takes -1:1."""
    image = keras.Input((height, width, 3))
    features = image
    for number, filters in enumerate((8, 16, 32), start=1):
        features = keras.layers.Conv2D(
            filters, 3, strides=2, padding="same", use_bias=False, name=f"conv{number}"
        )(features)
        features = keras.layers.BatchNormalization(name=f"bn{number}")(features)
        features = keras.layers.ReLU(name=f"relu{number}")(features)
    model = keras.Model(image, features)
    if weights:
        model.load_weights(weights)
    return model
