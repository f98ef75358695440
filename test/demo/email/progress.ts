/** The live line of the demo: processed, sent, failed, the rate and the time left. */
import { duration, rate } from "../../../src/cli/print/format.ts";
import { createTerminal } from "../../../src/cli/print/terminal.ts";
import { say } from "../show.ts";

/** Where nobody sits at a terminal, a line is printed for each tenth of the way instead. */
const drawEveryMs = 50;

export type MailProgress = {
  /** One mail has come to its end. */
  add(isSent: boolean): void;
  /** Ends the line; returns how long it took, and mails per second, of all of them and of the second half. */
  end(): { readonly tookMs: number; readonly perSecond: number; readonly later: number };
};

export function createMailProgress(total: number): MailProgress {
  const { stdout } = process;
  const terminal = createTerminal(process);
  const startedAt = performance.now();
  let sent = 0;
  let failed = 0;
  let drawnAt = 0;
  let halfAt = startedAt;

  function lineAt(nowMs: number): string {
    const processed = sent + failed;
    const perSecond = (processed * 1000) / Math.max(nowMs - startedAt, 1);
    const leftMs = ((total - processed) * 1000) / perSecond;
    const failures = failed === 0 ? "0 failed" : terminal.style("bad", `${failed} failed`);
    const done = `${String(processed).padStart(String(total).length)}/${total} processed`;
    return `  ${done}, ${sent} sent, ${failures}, ${rate(perSecond)}, ${duration(leftMs)} left`;
  }

  function show(): void {
    const nowMs = performance.now();
    const processed = sent + failed;
    if (!stdout.isTTY) {
      if (processed % Math.ceil(total / 10) === 0 || processed === total) say(lineAt(nowMs));
    } else if (nowMs - drawnAt >= drawEveryMs || processed === total) {
      drawnAt = nowMs;
      stdout.write(`\r\u001b[K${lineAt(nowMs)}`);
    }
  }

  return {
    add(isSent) {
      if (isSent) sent += 1;
      else failed += 1;
      if (sent + failed === Math.floor(total / 2)) halfAt = performance.now();
      show();
    },
    end() {
      if (stdout.isTTY) stdout.write("\n");
      const endedAt = performance.now();
      const perSecond = (mails: number, sinceMs: number) => (mails * 1000) / Math.max(endedAt - sinceMs, 1);
      const later = perSecond(total - Math.floor(total / 2), halfAt);
      return { tookMs: endedAt - startedAt, perSecond: perSecond(sent + failed, startedAt), later };
    },
  };
}
