/** A setting under which a server finds its disk too full. */
import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";

/** The most that `limits.diskFreeMiB` takes, a TiB: more than is free on nearly every machine. */
export const moreThanFreeMiB = 1_048_576;

const { bavail, bsize } = statfsSync(tmpdir());

/** Why such a test is skipped; false where it can run. */
export const diskIsTooLarge = bavail * bsize >= moreThanFreeMiB * 2 ** 20 && "the disk has more than a TiB free";
