/** What a seeded bug may change in a simulation: the ports of the engine, each behind a wrapper. */
import type { Clock } from "../../../src/clock.ts";
import type { Pool } from "../../../src/pool/port.ts";
import type { Store } from "../../../src/store/store.ts";
import type { Random } from "../random.ts";
import type { World } from "./world.ts";

export type Bug = {
  /** Made anew for each process, like all of these. */
  readonly store?: (store: Store, world: World) => Store;
  readonly pool?: (pool: Pool) => Pool;
  readonly clock?: (clock: Clock, world: World) => Clock;
  /** Whether a commit is safe from a power cut when it is answered. */
  readonly isSynced?: (random: Random) => () => boolean;
};
