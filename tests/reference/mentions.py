"""What a position sees of others, restated pair by pair."""


def visible(mention: list[list[int]], hidden: list[list[int]]) -> list[list[list[bool]]]:
    """Return for each row, position and other position whether the one sees the other: it must not come later, and if
    it is hidden, both must be of one mention.
    """
    return [
        [
            [other <= at and (not veils[other] or numbers[other] == numbers[at]) for other in range(len(numbers))]
            for at in range(len(numbers))
        ]
        for numbers, veils in zip(mention, hidden, strict=True)
    ]
