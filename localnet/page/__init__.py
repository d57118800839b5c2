"""The page of a network that is served: contracts, transactions with their rounds, accounts, validators, time.

===================== =============================================================================================
file                  what it is
===================== =============================================================================================
``page.html``, ``*.js`` the page; what it has in common with others is in :mod:`pages`
``documents.py``      what the page is told, as JSON
``source.py``         source of contracts in coloured pieces
``states.py``         what the last transactions changed in the storage of contracts
``feed.py``           the stream of what happens, and the files
===================== =============================================================================================
"""
