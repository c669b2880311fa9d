"""Rounding of weights, one number at a time in Python's own floats."""


def rounded(rows: list[list[float]], bits: int, group: int) -> list[list[float]]:
    """Return a matrix, a list an output, with every `group` inputs of an output on a grid of 2^bits - 1 points."""
    most = 2 ** (bits - 1) - 1
    found = []
    for row in rows:
        found.append([])
        for start in range(0, len(row), group):
            part = row[start : start + group]
            scale = max(abs(weight) for weight in part) / most or 1.0
            found[-1] += [round(weight / scale) * scale for weight in part]
    return found
