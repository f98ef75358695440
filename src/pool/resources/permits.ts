/** Grants the permits of all resources to all threads and processes of the server, in the order of the requests. */
import type { PermitsOf, PoolResource, ToThread } from "./protocol.ts";

/** The current state of the permits of one name. */
export type PermitCount = PermitsOf & { readonly limit: number; readonly held: number; readonly waiting: number };

/** A thread that can hold permits. */
export type Holder = { send(message: ToThread): void };

export type PermitBook = {
  /** Sets the permits. Permits of previous resources stay with their holders, and are counted. */
  replace(resources: readonly PoolResource[]): void;
  acquire(holder: Holder, of: PermitsOf, number: number): void;
  /** Releases the permit with this number, or cancels its request. */
  release(holder: Holder, number: number): void;
  /** Notifies the holder from now on when others wait, and when they no longer do. */
  listen(holder: Holder, of: PermitsOf): void;
  /** Removes a holder and releases all its permits. */
  leave(holder: Holder): void;
  counts(): readonly PermitCount[];
};

/** A permit that is held or requested. */
type Claim = { readonly holder: Holder; readonly number: number; readonly line: Line };
type Line = PermitsOf & {
  limit: number;
  /** Whether a current resource has these permits. */
  isUsed: boolean;
  /** Oldest first. */
  readonly held: Set<Claim>;
  readonly waiting: Set<Claim>;
  readonly listening: Set<Holder>;
};

/** Delay between two holders that are asked for the same permit: the first may have released it by then. */
const staggerMs = 20;

export function createPermitBook(): PermitBook {
  /** The current ones, followed by previous ones, which threads from before a reload may still request. */
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
    else if (wereWaiting) notifyHolders(line, () => ({ ...nameOf(line), kind: "unwanted" }));
  }

  /**
   * Asks as many holders as there are requests at once, starting with those that have held their permits longest, and
   * the others later.
   */
  function ask(line: Line): void {
    const { waiting } = line;
    notifyHolders(line, (turn) => ({
      ...nameOf(line),
      kind: "wanted",
      afterMs: Math.max(turn - waiting.size + 1, 0) * staggerMs,
    }));
  }

  function notifyHolders({ held, listening }: Line, messageFor: (turn: number) => ToThread): void {
    if (listening.size === 0) return;
    const holders = new Set([...held].map(({ holder }) => holder)).intersection(listening);
    for (const [turn, holder] of [...holders].entries()) holder.send(messageFor(turn));
  }

  const find = (of: PermitsOf) =>
    lines.find(({ resource, permits }) => resource === of.resource && permits === of.permits);

  /** Removes a claim, and grants its permit to the next request. */
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
      if (!line) return; // a thread only requests permits that exist
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
      for (const claim of own) if (claim.line.waiting.has(claim)) remove(claim); // its requests first, otherwise it would be granted its own permits
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
