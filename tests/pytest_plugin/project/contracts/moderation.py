# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

"""Pictures are looked at by a language model before they are shown."""

from dataclasses import dataclass

from genlayer import *


@allow_storage
@dataclass
class Picture:
    url: str
    poster: Address
    allowed: bool
    labels: str


class Moderation(gl.Contract):
    pictures: TreeMap[u256, Picture]
    count: u256
    strikes: TreeMap[Address, u8]

    def __init__(self):
        self.count = u256(0)

    @gl.public.write
    def post(self, url: str) -> bool:
        poster = gl.message.sender_address
        if self.strikes.get(poster, u8(0)) >= 2:
            raise gl.vm.UserError("banned")

        def look() -> dict:
            response = gl.nondet.web.get(url)
            if response.status != 200 or not response.body:
                raise gl.vm.UserError(f"no picture at {url}")
            kind = response.headers.get("content-type", b"").decode()
            if not kind.startswith("image/"):
                raise gl.vm.UserError(f"{kind or 'nothing'} is no picture")
            answer = gl.nondet.exec_prompt(
                "May this picture be shown to everybody?", images=[response.body], response_format="json"
            )
            labels = answer.get("labels", [])
            return {"allowed": answer.get("allowed") is True, "labels": ", ".join(sorted(map(str, labels)))}

        def agree(result: gl.vm.Result) -> bool:
            if isinstance(result, gl.vm.Return):
                return look()["allowed"] == result.calldata["allowed"]
            return False

        found = gl.vm.run_nondet_unsafe(look, agree)
        self.count = u256(self.count + 1)
        self.pictures[self.count] = Picture(url, poster, found["allowed"], found["labels"])
        if not found["allowed"]:
            self.strikes[poster] = u8(self.strikes.get(poster, u8(0)) + 1)
        return found["allowed"]
