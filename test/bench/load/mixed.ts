/** How long the jobs of `mixed` take: most are quick, and what is rare takes most of the time. */

/** After so many jobs it begins anew. */
const period = 800;
const quickMs = 0.1;
/** One job in 25, in turn. */
const slowMs = [1, 4, 7, 10];
/** One job in 160, in turn. */
const slowestMs = [20, 60, 90, 120, 150];

export function mixedMs(index: number): number {
  if (index % 160 === 81) return slowestMs[Math.floor((index % period) / 160)] as number;
  if (index % 25 === 0) return slowMs[(index / 25) % slowMs.length] as number;
  return quickMs;
}

export const meanOfMixedMs =
  Array.from({ length: period }, (_, index) => mixedMs(index)).reduce((a, b) => a + b) / period;
