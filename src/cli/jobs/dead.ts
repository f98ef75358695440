/** The commands about dead letters: list, show, redrive and delete them. */
import type { JobInfo } from "../../../clients/typescript/index.ts";
import { type Command, type FlagValues, isOn, jsonFlag, flagText, printAnswer, UsageError } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { moment, shortened } from "../print/format.ts";
import { outputAsText } from "../print/output.ts";
import { type Column, column, numbers } from "../print/table.ts";
import { factLines } from "../print/terminal.ts";
import { printAnswers } from "./answers.ts";
import { jobAsJson, jobLines } from "./job.ts";
import { limitFlag, printListed } from "./jobs.ts";
import { actionFlags, deadFilterFlags, filterFlags, filterOf, targetOf } from "./target.ts";

/** Lists dead letters. */
export const deadList: Command = {
  usage: "dead list",
  summary: "list your dead letters: jobs that failed for good",
  flags: [...filterFlags, ...deadFilterFlags, limitFlag, ...clientFlags, jsonFlag],
  examples: ["millpond dead list", "millpond dead list --task image.resize --reason permanent --limit 100"],
  run: async (invocation) => {
    const filter = filterOf(invocation.flags);
    return withClient(invocation, (client) => {
      const list = (pageSize: number) => client.deadLetters({ filter, pageSize });
      return printListed(invocation, { list, columns, none: "no dead letters" });
    });
  },
};

const columns: readonly Column<JobInfo>[] = [
  column("JOB", ({ id }) => id),
  column("TASK", ({ task }) => task),
  column("DIED", ({ finishedAt }) => moment(finishedAt)),
  column("REASON", ({ deadReason = "" }) => deadReason, { style: () => "bad" }),
  numbers("TRIES", ({ attempts }) => attempts),
  column("FAILURE", ({ result }) =>
    shortened(`${result?.failure?.reason ?? ""}: ${result?.failure?.message ?? ""}`, 80),
  ),
];

/** Shows one dead letter with its input. */
export const deadShow: Command = {
  usage: "dead show <id>",
  summary: "show one dead letter: why it failed, every attempt, its input",
  flags: [...clientFlags, jsonFlag],
  examples: ["millpond dead show 01990000-0000-7000-8000-000000000000"],
  run: (invocation) =>
    withClient(invocation, async (client, learn) => {
      const { args, terminal } = invocation;
      const found = await client.getJob(args[0] as string, { withInput: true });
      if (found.state !== "DEAD") {
        throw new Error(`job ${found.id} is ${found.state} and not a dead letter: see millpond job ${found.id}`);
      }
      await learn([found.input]);
      return printAnswer(invocation, jobAsJson(found), [
        ...jobLines(terminal, found),
        ...factLines(terminal, [["input", outputAsText(found.input, 1000)]]),
        "",
        terminal.style("quiet", `run it again: millpond dead redrive ${found.id}`),
      ]);
    }),
};

const redriveKinds = {
  redriven: { text: "queued again", style: "good" },
  not_dead: { text: "not dead", style: "bad" },
  not_found: { text: "no such job", style: "bad" },
} as const;

/** Puts dead letters back into the queue. */
export const deadRedrive: Command = {
  usage: "dead redrive [ids...]",
  summary: "run dead letters again, with a full set of attempts",
  notes: "The exit code is 1 when an id is not found or its job is not DEAD.",
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
      return printAnswers(invocation, answered, { kinds: redriveKinds, done, would: "would be queued again" });
    });
  },
};

const deleteKinds = {
  deleted: { text: "deleted", style: "good" },
  not_final: { text: "not final", style: "bad" },
  not_acknowledged: { text: "result not acknowledged", style: "bad" },
  not_found: { text: "no such job", style: "bad" },
} as const;

/** Removes dead letters for good. */
export const deadDelete: Command = {
  usage: "dead delete [ids...]",
  summary: "remove dead letters for good",
  notes: "Other final jobs can be deleted by id, too. The exit code is 1 when an id is not found or cannot be deleted.",
  flags: [...filterFlags, ...deadFilterFlags, ...actionFlags, ...clientFlags, jsonFlag],
  examples: [
    "millpond dead delete 01990000-0000-7000-8000-000000000000",
    "millpond dead delete --reason permanent --before 7d --dry-run",
  ],
  run: async (invocation) => {
    const target = targetOf(invocation);
    const dryRun = isOn(invocation.flags, "--dry-run");
    return withClient(invocation, async (client) => {
      const answered = await client.deleteJobs(target, { dryRun });
      const done = `${answered.deleted} deleted`;
      return printAnswers(invocation, answered, { kinds: deleteKinds, done, would: "would be deleted" });
    });
  },
};

function perSecondOf(flags: FlagValues): number | undefined {
  const text = flagText(flags, "--per-second");
  if (text === undefined) return undefined;
  const rate = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || rate < 0.01 || rate > 1_000_000) {
    throw new UsageError(`--per-second is "${text}": must be a number from 0.01 to 1000000`);
  }
  return rate;
}
