/** Gives out the permits of all resources, over all threads and processes of the server, in the order of the questions. */
import type { PermitsOf, PoolResource, ToThread } from "./protocol.ts";

/** The permits of one name now. */
export type PermitCount = PermitsOf & { readonly limit: number; readonly held: number; readonly waiting: number };

/** A thread, as it is seen here. */
export type Holder = { send(message: ToThread): void };

export type PermitBook = {
  /** There are these permits from now on. Those of former ones stay with who holds them, and count. */
  replace(resources: readonly PoolResource[]): void;
  acquire(holder: Holder, of: PermitsOf, number: number): void;
  /** It gives back what it holds under the number, or waits for it no longer. */
  release(holder: Holder, number: number): void;
  /** From now on it gets a message when others wait, and when they do not any more. */
  listen(holder: Holder, of: PermitsOf): void;
  /** The holder is gone, and all that it held is free. */
  leave(holder: Holder): void;
  counts(): readonly PermitCount[];
};

/** A permit that is held or waited for. */
type Claim = { readonly holder: Holder; readonly number: number; readonly line: Line };
type Line = PermitsOf & {
  limit: number;
  /** Whether a resource of now has it. */
  isUsed: boolean;
  /** Those that were granted first come first. */
  readonly held: Set<Claim>;
  readonly waiting: Set<Claim>;
  readonly listening: Set<Holder>;
};

/** Time between two holders that are asked for the same permit: the first may have given it back by then. */
const staggerMs = 20;

export function createPermitBook(): PermitBook {
  /** Those of now, and behind them former ones, which threads with the code from before a reload may still ask for. */
  let lines: readonly Line[] = [];
  const claims = new Map<Holder, Map<number, Claim>>();

  function grant(line: Line, wereWaiting: boolean): void {
    for (const claim of line.waiting) {
      if (line.held.size >= line.limit) break;
      line.waiting.delete(claim);
      line.held.add(claim);
      claim.holder.send({ kind: "granted", number: claim.number });
    }
    if (line.waiting.size > 0) ask(line);
    else if (wereWaiting) tellHolders(line, () => ({ ...nameOf(line), kind: "unwanted" }));
  }

  /** Asks as many holders at once as there are waiting, those first that have held theirs longest, and others after them. */
  function ask(line: Line): void {
    const { waiting } = line;
    tellHolders(line, (turn) => ({
      ...nameOf(line),
      kind: "wanted",
      afterMs: Math.max(turn - waiting.size + 1, 0) * staggerMs,
    }));
  }

  function tellHolders({ held, listening }: Line, wordOf: (turn: number) => ToThread): void {
    if (listening.size === 0) return;
    const holders = new Set([...held].map(({ holder }) => holder)).intersection(listening);
    for (const [turn, holder] of [...holders].entries()) holder.send(wordOf(turn));
  }

  const find = (of: PermitsOf) =>
    lines.find(({ resource, permits }) => resource === of.resource && permits === of.permits);

  /** Forgets a claim, and gives what it held to those that wait. */
  function remove(claim: Claim): void {
    const { line } = claim;
    const wereWaiting = line.waiting.size > 0;
    if (line.held.delete(claim) || line.waiting.delete(claim)) grant(line, wereWaiting);
  }

  return {
    replace(resources) {
      for (const line of lines) line.isUsed = false;
      const wanted = resources.flatMap(({ name: resource, permits: limits }) =>
        Object.entries(limits).map(([permits, limit]): Line => {
          const line = find({ resource, permits }) ?? newLine({ resource, permits });
          return Object.assign(line, { limit, isUsed: true });
        }),
      );
      lines = [...wanted, ...lines.filter(({ isUsed }) => !isUsed)];
      for (const line of lines) grant(line, line.waiting.size > 0);
    },
    acquire(holder, of, number) {
      const line = find(of);
      if (!line) return; // a thread asks only for permits that it was given the names of
      const claim = { holder, number, line };
      const own = claims.get(holder) ?? new Map<number, Claim>();
      claims.set(holder, own.set(number, claim));
      const wereWaiting = line.waiting.size > 0;
      line.waiting.add(claim);
      grant(line, wereWaiting);
    },
    release(holder, number) {
      const own = claims.get(holder);
      const claim = own?.get(number);
      own?.delete(number);
      if (claim) remove(claim);
    },
    listen: (holder, of) => void find(of)?.listening.add(holder),
    leave(holder) {
      const own = [...(claims.get(holder)?.values() ?? [])];
      claims.delete(holder);
      for (const { listening } of lines) listening.delete(holder);
      for (const claim of own) if (claim.line.waiting.has(claim)) remove(claim); // else it would be given what it held
      for (const claim of own) remove(claim);
    },
    counts: () =>
      lines
        .filter(({ isUsed, held, waiting }) => isUsed || held.size + waiting.size > 0)
        .map((line) => ({ ...nameOf(line), limit: line.limit, held: line.held.size, waiting: line.waiting.size })),
  };
}

function newLine(name: PermitsOf): Line {
  return { ...name, limit: 0, isUsed: true, held: new Set(), waiting: new Set(), listening: new Set() };
}

function nameOf({ resource, permits }: PermitsOf): PermitsOf {
  return { resource, permits };
}
