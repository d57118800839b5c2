// JSON-RPC to the server that the page came from.

let last = 0;

/** An error that the server answered: its text is for people. */
export class RpcError extends Error {
  constructor({ message, code, data }) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** The result of one call. Throws `RpcError`, or an `Error` where nothing, or no JSON, was answered. */
export async function call(method, ...params) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: ++last, method, params });
  let text;
  try {
    const response = await fetch("api", { method: "POST", headers: { "Content-Type": "application/json" }, body, cache: "no-store" });
    text = await response.text();
  } catch {
    // Browsers say "Failed to fetch".
    throw new Error("no server answers");
  }
  let answer;
  try {
    answer = JSON.parse(exact(text));
  } catch {
    throw new Error("the server answered something else than JSON");
  }
  if (answer.error) throw new RpcError(answer.error);
  return answer.result;
}

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** JSON whose integers JavaScript's numbers can hold: others become `{"$int": "…"}`. */
function exact(text) {
  const parts = [];
  let from = 0;
  while (from < text.length) {
    const quote = text.indexOf('"', from);
    const until = quote < 0 ? text.length : quote;
    parts.push(text.slice(from, until).replace(NUMBER, (number) => (/^-?\d{16,}$/.test(number) && !Number.isSafeInteger(Number(number)) ? `{"$int":"${number}"}` : number)));
    from = quote < 0 ? text.length : stringEnd(text, quote);
    parts.push(text.slice(until, from));
  }
  return parts.join("");
}

/** Where the JSON string that begins at `quote` is over; regular expressions run out of memory on long ones. */
export function stringEnd(text, quote) {
  let end = quote;
  for (;;) {
    end = text.indexOf('"', end + 1);
    if (end < 0) return text.length;
    let escapes = end;
    while (text[escapes - 1] === "\\") escapes -= 1;
    if ((end - escapes) % 2 === 0) return end + 1;
  }
}
