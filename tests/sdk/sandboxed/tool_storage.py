"""Storage as test tools of other projects bring it along: nothing of the SDK is inherited."""

import hashlib


class ToolSlot:
    def __init__(self, slot_id, manager):
        self.id = slot_id
        self.manager = manager

    def read(self, off, length):
        return self.manager.do_read(self.id, off, length)

    def write(self, off, what):
        self.manager.do_write(self.id, off, what)

    def indirect(self, off):
        return self.manager.get_store_slot(hashlib.sha3_256(self.id + off.to_bytes(4, "little")).digest())


class ToolManager:
    def __init__(self, slot_class):
        self.slot_class = slot_class
        self.memories = {}

    def get_store_slot(self, slot_id):
        return self.slot_class(slot_id, self)

    def do_read(self, slot_id, off, length):
        return bytes(self.memories.get(slot_id, b"")[off : off + length]).ljust(length, b"\0")

    def do_write(self, slot_id, off, what):
        memory = self.memories.setdefault(slot_id, bytearray())
        memory.extend(bytes(max(0, off + len(what) - len(memory))))
        memory[off : off + len(what)] = what
