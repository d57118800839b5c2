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

// Strings, which stay as they are, and numbers.
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** JSON whose integers JavaScript's numbers can hold: others become `{"$int": "…"}`. */
const exact = (text) =>
  text.replace(TOKENS, (token) => (/^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token)) ? `{"$int":"${token}"}` : token));
