"""The command line of ``genvm local`` for argparse: the help, and all that :mod:`localnet.options` leaves to it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from pygenvm.localnet import cli
from pygenvm.localnet.options import COMMANDS, json_option, network_options

_DESCRIPTION = """\
An embedded node for authors: runs contracts in the real sandbox and keeps accounts, contracts, storage and a log of
transactions in one SQLite file.
"""

_EPILOG = """\
examples:
  genvm local deploy storage.py --args '["hello"]'
  genvm local view get_storage                          the last deployed contract
  genvm local call update_storage --args '["world"]'
  genvm local call token transfer --args '[{"$addr": "bob"}, 25]' --from alice
  genvm local call 0x5b38 donate --value 1000           the start of an address is enough
  genvm local lint storage.py                           look for mistakes before anything runs
  genvm local schema storage.py
  genvm local state token
  genvm local log --last 5 --json

faster (Linux):
  A command that runs a contract and is typed at a terminal (stderr is one) leaves a pool of executors behind, if no
  other has in the last minute. With that, deploy, call, view, schema, state, accounts and log take half the time, and
  do and print the same. It ends after ten minutes without a command, and takes 90 MB until then. PYGENVM_POOL_IDLE is
  the number of seconds, 0 for none. There is none in CI either, nor for commands with --config.
  In scripts `genvm pool &` does the same; its --help tells more.
  `pgrep -af -- --until-idle` shows it, and `pkill -f -- --until-idle` ends it, with the commands that it has.

which contract:
  A word that starts with 0x is an address, or the start of one if only one contract has it. Any other word is the
  name of a contract: that of its file, or --name; of several with one name, the last. Without a word it is the
  contract that you deployed last; if a deployment has failed since then, you are asked to name one. In `call` and
  `view` one word is the METHOD, two are CONTRACT METHOD. An empty METHOD ('') calls __receive__.

when a contract fails:
  The calls in its own files with their lines, the exception, its cause and how to fix it; --traceback full shows the
  calls in the SDK too. Arguments that do not fit the method are refused before anything is run.

values (--args, --kwargs, and everything that is printed):
  JSON, and         {"$addr": "0x…"}     an address; also the name of an account or a contract
                    {"$bytes": "0x00ff"} bytes
                    {"$int": "0x1f"}     an integer, for programs that cannot write large ones; plain ones may be
                                         of any size
                    {"$map": [[key, value]]} what `state` shows of a map whose keys are no strings
  A key of your own that starts with $ gets one more $. A bare "0x…" is a string, but where the schema of the contract
  says `address` or `bytes` it is read as that. There are no fractions.

a network that clients connect to:
  genvm local serve runs one with validators, finality and appeals at port 4000, for gltest, genlayer-py, genlayer-js,
  the genlayer command line and tools of Ethereum. In its project the other commands go to it; --rpc URL names one
  elsewhere. genvm local export and import keep its state in a file.

programs (--json):
  One JSON document on stdout. `ok` tells success; `error` has kind and message, advice where there is any, and for a
  contract's failure also meaning, rule (of the linter that knew it), other_causes, exception, and traceback: the calls
  in the contract's own files (file, line, function, source), the innermost last (kinds: user_error, vm_error,
  internal_error, undetermined; usage, bad_value, not_found, insufficient_balance, no_schema, database, executor,
  settlement, listen, unreachable, shortage, interrupted, internal). deploy and call: contract, result, transaction
  (with outcome, events, messages, balances, storage, stdout, stderr; with --validators also validators: nodes,
  agreeing, accepted, votes; with --threshold also settlement: state, rounds, operators), delivered.
  view: contract, result, stdout, stderr. export, import: file, bytes. serve, when it listens: url, rpc, chain_id,
  validators, finality_window, database.
  schema: schema. state: fields, balance, slots. accounts: accounts. log: transactions (without a number: commands
  that failed and changed nothing, the last 200).
  lint: checked, findings (file, line, column, end_column, level, code, message, fix); `ok` means no errors.

language models and the web:
  The modules for that are started when a contract asks; they stay for the next commands, and end after ten minutes
  without one. The web is live, under the rules of nodes: http and https at public hosts. Language models are those
  whose key is in the environment (OPENAIKEY, ANTHROPICKEY, GEMINIKEY, XAIKEY, HEURISTKEY). --llm-config and
  --web-config have the keys that `genvm-modules llm --print-config` (or web) explains; only those that are to be others
  need to be there. --mocks FILE answers for both instead:
      llm: {"capital of France": Paris}
      web: {"example.com/price": '{"price": 42.5}'}
  An entry with a node (leader, validators, validator 2) is only for that one.

validators:
  --validators 5 runs a leader and four validators. Each is a node that asks the modules for itself; a validator gets
  the leader's results of nondet blocks, judges them, and compares the rest. Every node has one vote, the leader's is
  for itself. If no more than half of them agree, the transaction is undetermined: nothing changes, exit code 1.
  "validator 2" is the second place in the round after the leader, here and in mock files. A server draws for each
  transaction who takes part in which place.

settlement:
  --validators 5 --threshold 3 has operators with stake decide on each transaction with nondet blocks: 5 of 7 are drawn
  and vote on what a leader found. If 3 of them accept it, it holds; otherwise the next operator leads, at most
  --rotations times, then the transaction is undetermined. Each round leaves a receipt:
      genvm receipt export .pygenvm/local.db.settlement --intent 0x… > receipt.json
      genvm receipt verify receipt.json
  --appeals N has larger committees judge what one has not accepted; with --appeal-accepted what one has accepted too.
  --withhold "validator 2" shows what becomes of an operator that keeps its vote back.

  With --service URL, --key-file FILE and --model-spec HEX the operators are those of a service (`genvm settlement
  serve`, `genvm operator run`). Leaders are runs of this machine; what one found is published there as a task, with
  the code and storage that the transaction reads: whoever may ask the service sees them. The command waits until the
  task is settled (61 blocks), checks the receipt, and only then changes anything. The account pays 0.01 tokens for
  each operator, and 0.1 to each that votes as the quorum does.
      genvm receipt export http://127.0.0.1:4100 --intent 0x… > receipt.json

database:
  --db FILE, or else .pygenvm/local.db in this folder or in the nearest one above that has a .pygenvm folder. It is made
  by the first transaction; the folder of FILE has to be there, but for `serve`, which makes it. Delete it to start
  anew.

accounts and value:
  alice, bob, carol, dave, erin, frank, grace, heidi, ivan and judy have 1,000,000 GEN each, that is 10^24 units;
  `genvm local accounts` lists them. Value is counted in units. It only moves, it is never made or lost.

messages:
  Messages that a contract posts are delivered after its transaction, in order, each in a transaction of its own. One
  that fails comes back to its sender as a #error call with its value. After 100 the rest is not delivered.

exit codes: 0 done; 1 the contract failed, or validators did not agree, and nothing changed (lint: there are errors);
            2 bad command line or arguments, nothing was run; 3 the executor, a module or the database failed; 4 done,
            but the output could not be written (genvm local log has what was done); 130 interrupted, and
            it says whether the transaction was stored or dropped
"""


def add_parser(commands: Any) -> None:
    """Adds ``local`` to the subcommands of ``genvm``."""
    parser = commands.add_parser(
        "local",
        help="deploy and call contracts on this machine, without a node",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--db", type=Path, metavar="FILE", help="the database (default: .pygenvm/local.db)")
    parser.add_argument("--rpc", metavar="URL", help="the server of the network (default: the one that runs here)")
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="COMMAND", action=_Subcommands, parser_class=_Parser
    )
    for name, (text, example, add_options) in COMMANDS.items():
        actions.add_later(name, text, partial(_command, actions, name, text, example, add_options))


class _Parser(argparse.ArgumentParser):
    """Reports a bad command line as a JSON document where ``--json`` is asked for."""

    _json = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._json = "--json" in (args or ())
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            # Left to the parser of `genvm`, which knows nothing of --json.
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        if self._json:
            cli.print_json({"ok": False, "error": {"kind": "usage", "message": message}})
            self.exit(cli.EXIT_USAGE)
        super().error(message)


class _Subcommands(argparse._SubParsersAction):  # type: ignore[type-arg]
    """Makes the parser of a command when that is the one; all together take longer than most commands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._later: dict[str, Callable[[], None]] = {}

    def add_later(self, name: str, text: str, add: Callable[[], None]) -> None:
        """:param add: calls :meth:`add_parser` for ``name``, without ``help``, which is ``text``."""
        self._choices_actions.append(self._ChoicesPseudoAction(name, (), text))
        self._name_parser_map[name] = None
        self._later[name] = add

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        add = self._later.pop(values[0], None)
        if add is not None:
            del self._name_parser_map[values[0]]
            add()
        super().__call__(parser, namespace, values, option_string)


def _command(actions: Any, name: str, text: str, example: str, add_options: Callable[[Any], None]) -> None:
    parser: argparse.ArgumentParser = actions.add_parser(
        name,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example: genvm local {example}\n\n`genvm local --help` explains contracts, values and exit codes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    # Also accepted here; SUPPRESS keeps the one that stands before the command.
    network_options(parser, default=argparse.SUPPRESS)
    json_option(parser)
    add_options(parser)
