"""Answers that cannot be invented: within a box a response continues titles, of the candidates or the catalogue."""
