import { printAnswers } from "./answers.ts";
import { type Command, type FlagValues, isOn, jsonFlag, textOf, UsageError } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { actionFlags, deadFilterFlags, filterFlags, targetOf } from "./target.ts";

const kinds = {
  redriven: { text: "queued again", style: "good" },
  not_dead: { text: "not dead", style: "bad" },
  not_found: { text: "no such job", style: "bad" },
} as const;

/** Puts dead letters back into the queue. */
export const deadRedrive: Command = {
  usage: "dead redrive [ids...]",
  summary: "run dead letters again, with all their attempts before them",
  notes: "The exit code is 1 when an id is not there or is not DEAD.",
  flags: [
    ...filterFlags,
    ...deadFilterFlags,
    ...actionFlags,
    { usage: "--per-second <rate>", doc: "jobs that become due per second, 0.01 to 1000000 (default: all at once)" },
    ...clientFlags,
    jsonFlag,
  ],
  examples: [
    "millpond dead redrive 01990000-0000-7000-8000-000000000000",
    "millpond dead redrive --task email.send --failure smtp_login_refused --dry-run",
    "millpond dead redrive --all --per-second 50",
  ],
  run: async (invocation) => {
    const target = targetOf(invocation);
    const dryRun = isOn(invocation.flags, "--dry-run");
    const perSecond = perSecondOf(invocation.flags);
    return withClient(invocation, async (client) => {
      const answered = await client.redrive(target, { dryRun, perSecond });
      const done = `${answered.redriven} queued again`;
      return printAnswers(invocation, answered, { kinds, done, would: "would be queued again" });
    });
  },
};

function perSecondOf(flags: FlagValues): number | undefined {
  const text = textOf(flags, "--per-second");
  if (text === undefined) return undefined;
  const rate = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || rate < 0.01 || rate > 1_000_000) {
    throw new UsageError(`--per-second is "${text}": must be a number from 0.01 to 1000000`);
  }
  return rate;
}
