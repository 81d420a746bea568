RATE = 25


def gross(net: float) -> float:
    return net * 1.25


def reduced(net: float) -> float:
    import other

    return gross(other.cut(net))
