// ethers against a server (spec localnet-rpc/03 §5); prints what it saw as JSON.
import { JsonRpcProvider, Wallet } from "ethers";

const [url] = process.argv.slice(2);
const provider = new JsonRpcProvider(url);
const wallet = new Wallet("0x" + "5".repeat(64), provider);
const to = new Wallet("0x" + "6".repeat(64)).address;
const seen = { chainId: String((await provider.getNetwork()).chainId) };
await provider.send("sim_fundAccount", [wallet.address, 5000]);
const [balance, count, block] = await Promise.all([
  provider.getBalance(wallet.address),
  provider.getTransactionCount(wallet.address, "pending"),
  provider.getBlock("latest"),
]);
seen.balance = String(balance);
seen.count = count;
seen.block = block.number >= 0;
const sent = await wallet.sendTransaction({ to, value: 123n });
const receipt = await sent.wait();
seen.status = receipt.status;
seen.received = String(await provider.getBalance(to));
const found = await provider.getTransaction(sent.hash);
seen.transaction = [String(found.value), found.from === wallet.address, found.nonce];
const full = await provider.getBlock(receipt.blockNumber, true);
seen.inBlock = full.transactions.includes(sent.hash);
seen.code = await provider.getCode(to);
seen.logs = (await provider.getLogs({ fromBlock: 0 })).length;
provider.destroy();
console.log(JSON.stringify(seen));
