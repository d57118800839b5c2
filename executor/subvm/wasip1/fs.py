"""The read-only file tree of one VM (spec executor/06 "Virtual file system").

A tree is filled anew for every VM, with some hundred files, before the guest starts. So mapping is
one lookup of the parent directory and one insertion; what only directory listings need is made when
a listing is asked for. Contents are never copied. Whole folders of archives are turned into a tree once
per process, which is then hung into the trees of VMs: such directories are shared, and copied by a VM that
adds something to them.

Names are kept as text: the order of code points is the order of the UTF-8 bytes.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, TypeAlias, final
from weakref import WeakKeyDictionary

from pygenvm.executor import limits
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.subvm.wasip1.abi import BADF, FILETYPE_DIRECTORY, FILETYPE_REGULAR_FILE, NOENT

if TYPE_CHECKING:
    from pygenvm.executor.runner.archive import Folder


#: So many names in a folder itself are remembered.
_TOP_MAX = 16


@final
class Directory:
    """A directory of the tree; ``name`` is its last path component, ``/`` for the root.

    ``shared`` is 0, or the number of directories from this one down, none of which may be changed.
    """

    __slots__ = ("_children", "_folders", "_listing", "name", "shared")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self._children: dict[str, Node] = {}
        #: What is in these is in it too, from when somebody looks.
        self._folders: list[Folder] = []
        self.shared = 0
        self._listing: list[tuple[bytes, int]] | None = None

    @property
    def children(self) -> dict[str, Node]:
        """What is in it, by name."""
        if self._folders:
            for folder in self._folders:
                tree = _tree(folder)
                assert tree is not None
                self._children |= tree.children
            self._folders = []
        return self._children

    def fill_later(self, folder: Folder) -> bool:
        """Let it have what is in ``folder``, whose tree is made when somebody looks.

        False, and nothing done, if something could be in the way.
        """
        if self._children or self._folders:
            others = [other.top for other in self._folders]
            taken = {*self._children}.union(*others)
            if not folder.top or not all(others) or not taken.isdisjoint(folder.top):
                return False
        self._folders.append(folder)
        self._listing = None
        return True

    def share(self) -> int:
        """Make it and everything below it shared; the number of directories."""
        self.shared = 1 + sum(node.share() for node in self.children.values() if isinstance(node, Directory))
        return self.shared

    def copy(self) -> Directory:
        """A copy that may be changed; directories below it stay shared."""
        copy = Directory(self.name)
        copy._children = self.children.copy()
        return copy

    def add(self, name: str, node: Node) -> None:
        self.children[name] = node
        self._listing = None

    def lookup(self, path: str) -> Node | int:
        """The file or directory at ``path``, or the errno that says why there is none.

        Empty components and ``.`` are skipped, so that absolute paths and trailing slashes work.
        """
        node: Node = self
        for component in path.split("/"):
            if component == "" or component == ".":
                continue
            if not isinstance(node, Directory):
                return BADF
            # A mapped `..` is an ordinary name, which nobody can reach.
            child = node.children.get(component) if component != ".." else None
            if child is None:
                return NOENT
            node = child
        return node

    def listing(self) -> list[tuple[bytes, int]]:
        """Names and file types in the order of ``fd_readdir``: ``.``, ``..``, children in byte order."""
        if self._listing is None:
            self._listing = [(b".", FILETYPE_DIRECTORY), (b"..", FILETYPE_DIRECTORY)]
            self._listing.extend(
                (name.encode(), FILETYPE_DIRECTORY if isinstance(node, Directory) else FILETYPE_REGULAR_FILE)
                for name, node in sorted(self.children.items(), key=lambda item: item[0])
            )
        return self._listing


#: What a name stands for: the content of a regular file, or a directory.
Node: TypeAlias = Directory | bytes | memoryview


@final
class FileSystem:
    """The tree of one VM, filled by ``MapFile`` actions."""

    __slots__ = ("_count", "_parents", "root")

    def __init__(self) -> None:
        self.root = Directory(b"/")
        # Directories by their path as it was written in front of some mapped file.
        self._parents = {"": self.root}
        self._count = 1

    def map_file(self, path: str, content: bytes | memoryview) -> None:
        """Put a file into the tree, with the directories that lead to it.

        Runs of ``/`` count as one, a leading one is dropped. ``.`` and ``..`` are ordinary names.

        :raises InvalidContract: the name is taken or empty or not encodable, a file stands where a
            directory is needed, or there are too many directories.
        """
        path = _with_single_slashes(path)
        parent, _, name = path.removeprefix("/").rpartition("/")
        directory = self._parents.get(parent)
        if directory is None:
            directory = self._parents[parent] = self._make_directories(parent)
        if name in directory.children:
            raise InvalidContract(f"mapped twice: {path!r}")
        if not name:
            raise InvalidContract(f"mapped path without a file name: {path!r}")
        if not name.isascii():
            _encoded(name)
        directory.add(name, content)

    def is_free(self, path: str) -> bool:
        """Whether :meth:`map_file` finds nothing in its way at ``path``."""
        *parents, name = _with_single_slashes(path).removeprefix("/").split("/")
        directory = self.root
        for component in parents:
            child = directory.children.get(component)
            if child is None:
                return True
            if not isinstance(child, Directory):
                return False
            directory = child
        return name not in directory.children

    def graft(self, to: str, folder: Folder) -> bool:
        """Put all files of ``folder`` at ``to``, as :meth:`map_file` for each would; False if one of them would fail.

        ``to`` ends in ``/``. Nothing is changed that the first file would not change.
        """
        if not folder.count:
            return True
        directories = _directories(folder)
        if not directories:
            return False
        path = _with_single_slashes(to).removeprefix("/").removesuffix("/")
        directory = self._parents.get(path)
        if directory is None:
            directory = self._parents[path] = self._make_directories(path)
        more = directories - 1  # All of the tree but its root.
        if self._count + more <= limits.MAPPED_DIRECTORIES and directory.fill_later(folder):
            self._count += more
            return True
        tree = _tree(folder)
        assert tree is not None
        added = _added(directory, tree)
        if added is None or self._count + added > limits.MAPPED_DIRECTORIES:
            return False
        self._count += added
        self._merge(directory, tree)
        return True

    def own_all(self) -> None:
        """Copy all shared directories, so that none is replaced by a copy from now on."""
        pending = [self.root]
        while pending:
            directory = pending.pop()
            for name, node in list(directory.children.items()):
                if isinstance(node, Directory):
                    pending.append(self._owned(directory, name, node))

    def _merge(self, directory: Directory, tree: Directory) -> None:
        for name, node in tree.children.items():
            existing = directory.children.get(name)
            if existing is None:
                directory.add(name, node)
            else:
                assert isinstance(existing, Directory)
                assert isinstance(node, Directory)
                self._merge(self._owned(directory, name, existing), node)

    @staticmethod
    def _owned(parent: Directory, name: str, child: Directory) -> Directory:
        if child.shared:
            child = child.copy()
            parent.add(name, child)
        return child

    def _make_directories(self, path: str) -> Directory:
        directory = self.root
        for component in path.split("/"):
            child = directory.children.get(component)
            if child is None:
                if self._count >= limits.MAPPED_DIRECTORIES:
                    raise InvalidContract(f"more than {limits.MAPPED_DIRECTORIES} directories are mapped")
                self._count += 1
                child = Directory(_encoded(component))
                directory.add(component, child)
            elif not isinstance(child, Directory):
                raise InvalidContract(f"mapped below a file: {path!r}")
            directory = self._owned(directory, component, child)
        return directory


#: Trees of folders; None for those that cannot be mapped on their own.
_trees: WeakKeyDictionary[Folder, Directory | None] = WeakKeyDictionary()


def _tree(folder: Folder) -> Directory | None:
    if folder not in _trees:
        tree: Directory | None = None
        with contextlib.suppress(InvalidContract):
            files = FileSystem()
            for name, content in folder.entries:
                files.map_file(name, content)
            tree = files.root
            tree.share()
        _trees[folder] = tree
    return _trees[folder]


def _directories(folder: Folder) -> int:
    """How many directories its tree has; 0 if there is no such tree."""
    if folder.directories is None:
        tree = _tree(folder)
        top = () if tree is None or len(tree.children) > _TOP_MAX else tuple(tree.children)
        folder.found_out(0 if tree is None else tree.shared, top)
        assert folder.directories is not None
    return folder.directories


def _added(directory: Directory, tree: Directory) -> int | None:
    """How many directories a merge adds; None if a name is taken."""
    added = 0
    for name, node in tree.children.items():
        existing = directory.children.get(name)
        if existing is None:
            added += node.shared if isinstance(node, Directory) else 0
        elif isinstance(existing, Directory) and isinstance(node, Directory):
            inner = _added(existing, node)
            if inner is None:
                return None
            added += inner
        else:
            return None
    return added


def _with_single_slashes(path: str) -> str:
    return re.sub("//+", "/", path) if "//" in path else path


def _encoded(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError as error:
        raise InvalidContract(f"mapped path is not valid Unicode: {name!r}") from error
