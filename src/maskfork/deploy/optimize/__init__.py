"""The fastest way to run a model on this machine that still answers as it did: measured with the user's texts, not believed.

    rows ─ forms (runtime x precision, students) ─ gate ─ coarse ─ finer (streams, batches) ─ finalists in turn ─ winner + lock
                                                    └─ refused by name, with its figures

rows.py       the user's rows, labels where there are any     forms.py      what can be tried here, and why the rest cannot
students.py   small models trained from the model             gate.py       does it answer as the original does?
worker.py     a candidate in a process of its own             asking.py     that process, from outside
measured.py   what is known so far, kept on disk              search.py     which candidates to measure next
front.py      what nothing else beats                         lock.py       the folder that is written
run.py        all of it
"""
