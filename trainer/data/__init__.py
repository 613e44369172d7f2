"""Records and image files as tf.data and arrays: selection, sampling, damage, run folders."""
