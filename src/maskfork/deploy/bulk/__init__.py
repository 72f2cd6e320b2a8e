"""A trained model over a file of any size: a window of rows at a time, each kept on disk, so that nothing is done twice.

source.py   the file in windows of rows     parts.py   windows on disk, and the whole file of them
run.py      from one to the other
"""
