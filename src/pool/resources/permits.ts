/** Gives out the permits of all resources, over all threads and processes of the server, in the order of the questions. */
import type { PermitsOf, PoolResource, ToThread } from "./words.ts";

/** The permits of one name now. */
export type PermitCount = PermitsOf & { readonly limit: number; readonly held: number; readonly waiting: number };

/** A thread, as it is seen here. */
export type Holder = { tell(word: ToThread): void };

export type PermitBook = {
  /** There are these permits from now on. Those of former ones stay with who holds them, and count. */
  replace(resources: readonly PoolResource[]): void;
  acquire(holder: Holder, of: PermitsOf, number: number): void;
  /** It gives back what it holds under the number, or waits for it no longer. */
  release(holder: Holder, number: number): void;
  /** From now on it is told when others wait, and when they do not any more. */
  listen(holder: Holder, of: PermitsOf): void;
  /** The holder is gone, and all that it held is free. */
  leave(holder: Holder): void;
  counts(): readonly PermitCount[];
};

/** A permit that somebody holds or waits for. */
type Claim = { readonly holder: Holder; readonly number: number };
type Line = PermitsOf & {
  limit: number;
  /** Those that were granted first come first. */
  readonly held: Claim[];
  readonly waiting: Claim[];
  readonly listening: Set<Holder>;
};

/** Time between two holders that are asked for the same permit: the first may have given it back by then. */
const staggerMs = 20;

export function createPermitBook(): PermitBook {
  let lines: readonly Line[] = [];

  function grant(line: Line, wereWaiting: boolean): void {
    while (line.waiting.length > 0 && line.held.length < line.limit) {
      const claim = line.waiting.shift() as Claim;
      line.held.push(claim);
      claim.holder.tell({ kind: "granted", number: claim.number });
    }
    if (line.waiting.length > 0) ask(line);
    else if (wereWaiting) tellHolders(line, () => ({ ...nameOf(line), kind: "unwanted" }));
  }

  /** Asks as many holders at once as there are waiting, those first that have held theirs longest, and others after them. */
  function ask(line: Line): void {
    const { waiting } = line;
    tellHolders(line, (turn) => ({
      ...nameOf(line),
      kind: "wanted",
      afterMs: Math.max(turn - waiting.length + 1, 0) * staggerMs,
    }));
  }

  function tellHolders({ held, listening }: Line, wordOf: (turn: number) => ToThread): void {
    if (listening.size === 0) return;
    const holders = new Set(held.map(({ holder }) => holder)).intersection(listening);
    for (const [turn, holder] of [...holders].entries()) holder.tell(wordOf(turn));
  }

  const find = (of: PermitsOf) =>
    lines.find(({ resource, permits }) => resource === of.resource && permits === of.permits);

  /** Forgets claims, and gives what they held to those that wait. */
  function remove(isMeant: (claim: Claim) => boolean): void {
    for (const line of lines) {
      const wereWaiting = line.waiting.length > 0;
      const hasLess = [take(line.held, isMeant), take(line.waiting, isMeant)].includes(true);
      if (hasLess) grant(line, wereWaiting);
    }
  }

  return {
    replace(resources) {
      const former = new Set(lines);
      const wanted = resources.flatMap(({ name: resource, permits: limits }) =>
        Object.entries(limits).map(([permits, limit]): Line => {
          const line = find({ resource, permits }) ?? {
            ...{ resource, permits, limit, held: [], waiting: [] },
            listening: new Set<Holder>(),
          };
          line.limit = limit;
          former.delete(line);
          return line;
        }),
      );
      lines = [...wanted, ...[...former].filter(({ held, waiting }) => held.length + waiting.length > 0)];
      for (const line of lines) grant(line, line.waiting.length > 0);
    },
    acquire(holder, of, number) {
      const line = find(of);
      if (!line) return; // a thread asks only for permits that it was given the names of
      const wereWaiting = line.waiting.length > 0;
      line.waiting.push({ holder, number });
      grant(line, wereWaiting);
    },
    release: (holder, number) => remove((claim) => claim.holder === holder && claim.number === number),
    listen: (holder, of) => void find(of)?.listening.add(holder),
    leave(holder) {
      for (const { listening } of lines) listening.delete(holder);
      remove((claim) => claim.holder === holder);
    },
    counts: () =>
      lines.map((line) => ({
        ...nameOf(line),
        limit: line.limit,
        held: line.held.length,
        waiting: line.waiting.length,
      })),
  };
}

function nameOf({ resource, permits }: PermitsOf): PermitsOf {
  return { resource, permits };
}

/** Takes claims out of a list; whether there were any. */
function take(claims: Claim[], isMeant: (claim: Claim) => boolean): boolean {
  const left = claims.filter((claim) => !isMeant(claim));
  const hasTaken = left.length < claims.length;
  claims.splice(0, claims.length, ...left);
  return hasTaken;
}
