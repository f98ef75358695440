/**
 * What a run writes down. Clients write what they asked for and what they were told, the task writes each execution, the
 * conductor writes what it did to the server. Nobody writes what they believe. `at` is in milliseconds since 1970, from
 * a clock that does not jump when the server's does.
 */
export type Event = ClientEvent | TaskEvent | ConductorEvent;

/** A job as its client means it, with all that the checker has to know to judge what becomes of it. */
export type Intent = {
  readonly id: string;
  readonly key: string | null;
  readonly channel: string;
  /** What the task hashes. */
  readonly input: string;
  /** Bound on its attempts. */
  readonly maxAttempts: number;
  /** Attempts up to this number fail. */
  readonly failures: number;
  /** What becomes of it when nothing disturbs it: what a fault may change is that it dies or is cancelled. */
  readonly isPermanent: boolean;
  /** How long an attempt takes, in milliseconds. */
  readonly lastsMs: number;
  /** It must not begin before. */
  readonly notBefore: number | null;
  /** Its retry policy where it asks for one. */
  readonly retry: { readonly baseMs: number; readonly hasJitter: boolean } | null;
};

export type FinalState = "SUCCEEDED" | "DEAD" | "CANCELLED";

export type ClientEvent = { readonly at: number; readonly client: string } & (
  | { readonly kind: "submit"; readonly job: Intent } // before it was sent
  | { readonly kind: "again"; readonly id: string } // before it was sent once more
  | { readonly kind: "accepted"; readonly id: string /** The job that the server named. */; readonly as: string }
  | { readonly kind: "refused"; readonly id: string; readonly reason: string }
  | { readonly kind: "open"; readonly channel: string; readonly stream: string; readonly after: number }
  | { readonly kind: "closed"; readonly channel: string; readonly stream: string; readonly reason: string }
  | ResultFacts
  | { readonly kind: "ack"; readonly channel: string; readonly cursor: number } // before it was sent
  | { readonly kind: "acked"; readonly channel: string; readonly cursor: number } // the server said so
  | { readonly kind: "cancel"; readonly id: string } // before it was sent
  | { readonly kind: "cancel-answered"; readonly id: string; readonly says: string }
  | { readonly kind: "redrive"; readonly id: string } // before it was sent
  | { readonly kind: "dead-letter"; readonly id: string; readonly attempts: number; readonly history: readonly Past[] }
  | { readonly kind: "at-rest"; readonly queued: number; readonly running: number }
);

/** One attempt in a dead letter's history. */
export type Past = { readonly number: number; readonly outcome: string; readonly reason: string };

export type ResultFacts = {
  readonly kind: "result";
  readonly channel: string;
  /** On which stream it came. */
  readonly stream: string;
  readonly cursor: number;
  readonly id: string;
  readonly state: FinalState;
  readonly attempts: number;
  readonly redrives: number;
  /** What the task returned: the hash, and which execution made it. */
  readonly sha256: string | null;
  readonly run: string | null;
  readonly reason: string | null;
};
export type ResultEvent = Extract<ClientEvent, { kind: "result" }>;

/** One line at the begin of an execution and one at its end; `run` is different for each. */
export type TaskEvent = { readonly at: number } & (
  | {
      readonly kind: "began";
      readonly id: string;
      readonly attempt: number;
      readonly run: string;
      readonly pid: number;
      readonly thread: number;
    }
  /** Written before it ends its thread or its process. */
  | { readonly kind: "murders"; readonly run: string; readonly how: string }
  | { readonly kind: "finished"; readonly run: string; readonly how: "returned" | "threw" }
);

export type ConductorEvent = { readonly at: number } & (
  | { readonly kind: "serving"; readonly boot: number; readonly pid: number; readonly tookMs: number }
  /** `how`: `stopped` when it was asked to and did, else its exit code or signal. */
  | { readonly kind: "ended"; readonly boot: number; readonly pid: number; readonly how: string }
  | {
      readonly kind: "fault";
      readonly name: string;
      readonly text: string;
      /** Attempts may be lost by it although their process lives. */
      readonly hurtsWorkers: boolean;
    }
  | StoreFacts
);

/** What the store's file holds after the end. Counts are by pool and state. */
export type StoreFacts = {
  readonly at: number;
  readonly kind: "store";
  /** Empty: SQLite found nothing wrong. */
  readonly integrity: readonly string[];
  readonly counters: { readonly [poolAndState: string]: number };
  readonly rows: { readonly [poolAndState: string]: number };
};
