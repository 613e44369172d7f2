"""One file for each data set: its folders and tables as published, read into rows of images."""
