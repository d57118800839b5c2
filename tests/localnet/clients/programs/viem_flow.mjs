// viem against a server (spec localnet-rpc/03 §5); prints what it saw as JSON.
import { createPublicClient, createWalletClient, defineChain, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const [url] = process.argv.slice(2);
const chain = defineChain({
  id: 61999,
  name: "localnet",
  nativeCurrency: { name: "GEN", symbol: "GEN", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const account = privateKeyToAccount("0x" + "7".repeat(64));
const to = privateKeyToAccount("0x" + "8".repeat(64)).address;
const transport = http(url, { batch: true });
const reader = createPublicClient({ chain, transport });
const writer = createWalletClient({ account, chain, transport });
const seen = { chainId: await reader.getChainId() };
await reader.request({ method: "sim_fundAccount", params: [account.address, 5000] });
seen.balance = String(await reader.getBalance({ address: account.address }));
const hash = await writer.sendTransaction({ to, value: 123n });
const receipt = await reader.waitForTransactionReceipt({ hash });
seen.status = receipt.status;
const transaction = await reader.getTransaction({ hash });
seen.transaction = [String(transaction.value), transaction.from.toLowerCase() === account.address.toLowerCase()];
seen.received = String(await reader.getBalance({ address: to }));
seen.block = (await reader.getBlock({ blockNumber: receipt.blockNumber })).transactions.includes(hash);
seen.fees = String((await reader.getFeeHistory({ blockCount: 1, rewardPercentiles: [50] })).baseFeePerGas[0]);
console.log(JSON.stringify(seen));
