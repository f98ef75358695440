import type { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { noOverrides, override, type PoolOverrides } from "../../pool-overrides.ts";
import type { Damage } from "../integrity/damage.ts";
import { prepareQuery } from "../thread/connection.ts";
import type { Calls } from "../thread/protocol.ts";

export type PoolOverrideRows = {
  override(request: Calls["override"]["request"]): Calls["override"]["answer"];
  all(): Calls["overrides"]["answer"];
};

/** What operators said of pools. A row that is not what was written counts as none: the configuration applies. */
export function createPoolOverrides(db: DatabaseSync, damage: Damage): PoolOverrideRows {
  type Row = [pool: string, overrides: string, checksum: number];
  const rows = prepareQuery<Row>(db, "SELECT pool, overrides, checksum FROM pool_override");
  const write = db.prepare("INSERT OR REPLACE INTO pool_override (pool, overrides, checksum) VALUES (?, ?, ?)");
  const erase = db.prepare("DELETE FROM pool_override WHERE pool = ?");

  function all(): Map<string, PoolOverrides> {
    const found = new Map<string, PoolOverrides>();
    for (const [pool, overrides, checksum] of rows.all()) {
      if (checksumOf(pool, overrides) === checksum) found.set(pool, JSON.parse(overrides) as PoolOverrides);
      else damage.overridesLost(pool);
    }
    return found;
  }

  return {
    all,
    override({ pool, ...request }) {
      const before = all().get(pool) ?? noOverrides;
      const after = override(before, request);
      if (after.pause || after.resize) {
        const overrides = JSON.stringify(after);
        write.run(pool, overrides, checksumOf(pool, overrides));
      } else erase.run(pool);
      return { before, after };
    },
  };
}

function checksumOf(pool: string, overrides: string): number {
  return crc32(overrides, crc32(pool));
}
