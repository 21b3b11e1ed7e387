"""A pretrained language model learns to recommend real films on two cores: `python -m rerec_engine.real`, `make real`.

`films.csv.gz` comes from DBpedia under a licence of its own: see FILMS.md beside it.
"""
