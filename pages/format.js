// Durations and times as people read them.

/** Milliseconds: "8 ms", "1.2 s", "4 min 05 s", "2 h 10 min". */
export function duration(ms) {
  if (ms < 0) ms = 0;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${pad((ms % 60_000) / 1000)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${pad((ms % 3_600_000) / 60_000)} min`;
}

/** How long ago, in whole seconds and more: "now", "12 s ago", "3 min ago". */
export function ago(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
}

/** The time of day with milliseconds. */
export function clock(ms) {
  const time = new Date(ms);
  return `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

/** Exact, for whoever points at it. */
export const exact = (ms) => new Date(ms).toISOString();

const pad = (number) => String(Math.floor(number)).padStart(2, "0");
