// genlayer-js against a server (spec localnet-rpc/03 §2); prints what it saw as JSON.
import { readFileSync } from "node:fs";
import { createAccount, createClient } from "genlayer-js";
import { localnet } from "genlayer-js/chains";
import { TransactionStatus } from "genlayer-js/types";

const [url, path] = process.argv.slice(2);
const code = readFileSync(path, "utf8");
const account = createAccount("0x" + "4".repeat(64));
const client = createClient({ chain: localnet, endpoint: url, account });
const seen = { chain: localnet.id };
const wait = (hash, status = TransactionStatus.ACCEPTED) =>
  client.waitForTransactionReceipt({ hash, status, interval: 200, retries: 100, fullTransaction: true });

await client.fundAccount({ address: account.address, amount: 1000 });
seen.balance = String(await client.getBalance({ address: account.address }));
await client.initializeConsensusSmartContract();
const schema = await client.getContractSchemaForCode(code);
seen.methods = Object.keys(schema.methods).sort();
const deployment = await client.deployContract({ code, args: ["hello"], leaderOnly: false });
let receipt = await wait(deployment, TransactionStatus.FINALIZED);
seen.deploy = receipt.statusName ?? receipt.status_name;
const address = receipt.data.contract_address;
const read = () => client.readContract({ address, functionName: "get_storage", args: [] });
seen.read = await read();
const write = await client.writeContract({ address, functionName: "pay", args: ["bye"], value: 7n });
receipt = await wait(write);
seen.execution = receipt.consensus_data.leader_receipt[0].execution_result;
seen.readAgain = await read();
seen.simulated = await client.simulateWriteContract({ address, functionName: "update_storage", args: ["simulated"] });
seen.readAfterSimulation = await read();
const alone = await client.writeContract({ address, functionName: "update_storage", args: ["alone"], value: 0n, leaderOnly: true });
receipt = await wait(alone);
seen.leaderOnly = receipt.statusName ?? receipt.status_name;
seen.code = (await client.getContractCode(address)) === code;
seen.schema = Object.keys((await client.getContractSchema(address)).methods).length === seen.methods.length;
seen.trace = (await client.debugTraceTransaction({ hash: write, round: 0 })).transaction_id === write;
await client.appealTransaction({ txId: write });
await client.finalizeTransaction({ txId: alone });
receipt = await wait(alone, TransactionStatus.FINALIZED);
seen.finalized = receipt.statusName ?? receipt.status_name;
const nobody = createClient({ chain: localnet, endpoint: url });
seen.readByNobody = await nobody.readContract({ address, functionName: "get_storage", args: [] });
try {
  await client.cancelTransaction({ hash: alone });
} catch (error) {
  seen.cancel = String(error.message ?? error);
}
try {
  await client.getTransaction({ hash: "0x" + "0".repeat(64) });
} catch (error) {
  seen.missing = String(error.message ?? error);
}
console.log(JSON.stringify(seen, (_, value) => (typeof value === "bigint" ? String(value) : value)));
