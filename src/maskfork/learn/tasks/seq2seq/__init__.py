"""A text becomes another: translation, summaries, data put into words."""

from maskfork.learn.tasks.seq2seq.task import Seq2SeqTask

TASK = Seq2SeqTask()
