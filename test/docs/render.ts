/** Figures as docs/guarantees.md shows them. */

export const number = (value: number) => (value < 10_000 ? String(value) : value.toLocaleString("en-US"));

/** What no loss in so many tries says at 95 %, in two digits, rounded up. */
export function bound(tries: number): string {
  const percent = (1 - 0.05 ** (1 / tries)) * 100;
  const unit = 10 ** (Math.floor(Math.log10(percent)) - 1);
  return `< ${(Math.ceil(percent / unit) * unit).toPrecision(2)} %`;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`).join("\n");
}
