"""From a teacher's labels to a small model of your own: label, doubt, learn, measure.

texts ─teacher─> labels ─doubt─> beliefs ─learn─> student ─measure─> folder and report
          gold rows, labelled by hand, are for measuring alone ┘
"""
