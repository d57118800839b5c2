from genlayer import gl


def price_at(url: str) -> int:
    text = gl.get_webpage(url, mode="text", wait_after_loaded="1s")
    if not text.isdigit():
        raise gl.Rollback(f"no price: {text}")
    return int(text)
