def cut(net: float) -> float:
    return net / 2
