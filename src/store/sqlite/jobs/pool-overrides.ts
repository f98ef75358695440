import { crc32 } from "node:zlib";
import { noOverrides, override, type PoolOverrides } from "../../pool-overrides.ts";
import type { Damage } from "../integrity/damage.ts";
import type { Sql } from "../thread/connection.ts";
import type { Verbs } from "../thread/protocol.ts";

/** The overrides of pools. A damaged row is ignored, so that the configuration applies. */
export function createPoolOverrides(sql: Sql, damage: Damage) {
  const rows = sql<[pool: string, overrides: string, checksum: number]>`
    SELECT pool, overrides, checksum FROM pool_override`;
  const write = sql`INSERT OR REPLACE INTO pool_override (pool, overrides, checksum) VALUES (?, ?, ?)`;
  const erase = sql`DELETE FROM pool_override WHERE pool = ?`;

  function overrides(): Map<string, PoolOverrides> {
    const found = new Map<string, PoolOverrides>();
    for (const [pool, text, checksum] of rows.all()) {
      if (checksumOf(pool, text) === checksum) found.set(pool, JSON.parse(text) as PoolOverrides);
      else damage.overridesLost(pool);
    }
    return found;
  }

  return {
    overrides,
    override: ({ pool, ...request }) => {
      const before = overrides().get(pool) ?? noOverrides;
      const after = override(before, request);
      if (after.pause || after.resize) {
        const text = JSON.stringify(after);
        write.run(pool, text, checksumOf(pool, text));
      } else erase.run(pool);
      return { before, after };
    },
  } satisfies Partial<Verbs>;
}

function checksumOf(pool: string, overrides: string): number {
  return crc32(overrides, crc32(pool));
}
