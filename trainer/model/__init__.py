"""The network: backbone, head, augmentation, losses, cached CNN features."""
