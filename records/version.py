"""Name and version of the software, installed or not."""

NAME = "mammograms-to-models"
VERSION = "0.1.0"
PROGRAM = f"{NAME} {VERSION}"
