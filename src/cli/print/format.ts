/** Formats numbers, sizes, durations and values for people, in a short, uniform form. */

/** `12 ms`, `3.4 s`, `5 min`, `2 h`, `3 d`; a dash when unknown. */
export function duration(ms: number | undefined): string {
  if (ms === undefined || Number.isNaN(ms)) return "-";
  if (ms < 1) return ms === 0 ? "0 ms" : `${ms.toFixed(1)} ms`;
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** How old the oldest of something is; a dash when there is none. */
export function age(ms: number): string {
  return ms === 0 ? "-" : duration(ms);
}

/** `512 bytes`, `3.4 KiB`, `12 MiB`, `1.5 GiB`. */
export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), 3);
  const value = bytes / 1024 ** power;
  return `${value.toFixed(value < 10 ? 1 : 0)} ${["KiB", "MiB", "GiB"][power - 1]}`;
}

/** A rate such as `12.5/s`. */
export function rate(perSecond: number): string {
  return `${perSecond >= 100 ? Math.round(perSecond) : Number(perSecond.toFixed(1))}/s`;
}

/** A moment as `2026-01-31 23:59:59` in the machine's time zone; a dash when there was none. */
export function moment(date: Date | undefined): string {
  if (date === undefined || Number.isNaN(date.getTime())) return "-";
  const two = (part: number) => String(part).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** A text of at most `length` characters. */
export function shortened(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 3)}...`;
}
