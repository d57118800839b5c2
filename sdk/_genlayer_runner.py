"""Entry script of a Python contract (spec sdk/03 §1). Short, because a script is compiled anew on every start."""

from genlayer._internal.boot import main

main()
