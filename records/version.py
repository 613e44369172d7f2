"""Name and version of the software, installed or not."""

NAME = "mammograms-to-models"
VERSION = "0.1.0"
NOTICE = "research use only, not for diagnosis"
PROGRAM = f"{NAME} {VERSION}"
