// Letters of an address, which are a checksum where they are of both cases (EIP-55).

const LANE = (1n << 64n) - 1n;
const RATE = 136;

/** The right letters for an address. */
export function checksummed(address) {
  const digits = address.slice(2).toLowerCase();
  const hash = keccak256(digits);
  return `0x${[...digits].map((digit, index) => (parseInt(hash[index], 16) < 8 ? digit : digit.toUpperCase())).join("")}`;
}

/** Whether the letters are of one case, which is no checksum, or the right ones. */
export const isSpeltRight = (address) => [address.slice(2).toLowerCase(), address.slice(2).toUpperCase(), checksummed(address).slice(2)].includes(address.slice(2));

/** Hex digits of the hash of a text of ASCII characters, less than one block of them. */
function keccak256(text) {
  const block = new Uint8Array(RATE);
  block.set([...text].map((character) => character.charCodeAt(0)));
  block[text.length] ^= 0x01;
  block[RATE - 1] ^= 0x80;
  const lanes = Array.from({ length: 25 }, (_, lane) => (lane < RATE / 8 ? new DataView(block.buffer).getBigUint64(8 * lane, true) : 0n));
  permute(lanes);
  const out = new DataView(new ArrayBuffer(32));
  for (let lane = 0; lane < 4; lane += 1) out.setBigUint64(8 * lane, lanes[lane], true);
  return Array.from(new Uint8Array(out.buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const rotated = (lane, by) => ((lane << BigInt(by)) | (lane >> BigInt(64 - by))) & LANE;

/** Keccak-f[1600]. */
function permute(lanes) {
  let shift = 1;
  for (let round = 0; round < 24; round += 1) {
    const columns = [0, 1, 2, 3, 4].map((x) => lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20]);
    for (let at = 0; at < 25; at += 1) lanes[at] ^= columns[((at % 5) + 4) % 5] ^ rotated(columns[((at % 5) + 1) % 5], 1);
    let [x, y, moved] = [1, 0, lanes[1]];
    for (let step = 0; step < 24; step += 1) {
      [x, y] = [y, (2 * x + 3 * y) % 5];
      [moved, lanes[x + 5 * y]] = [lanes[x + 5 * y], rotated(moved, (((step + 1) * (step + 2)) / 2) % 64)];
    }
    for (let row = 0; row < 25; row += 5) {
      const old = lanes.slice(row, row + 5);
      for (let column = 0; column < 5; column += 1) lanes[row + column] = old[column] ^ (~old[(column + 1) % 5] & old[(column + 2) % 5]);
    }
    for (let bit = 0; bit < 7; bit += 1) {
      shift = ((shift << 1) ^ ((shift >> 7) * 0x71)) % 256;
      if (shift & 2) lanes[0] ^= 1n << BigInt((1 << bit) - 1);
    }
  }
}
