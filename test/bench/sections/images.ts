/** Real pictures through Millpond, against a bare loop over the same library on as many threads. */
import { availableParallelism } from "node:os";
import { median, rounded, sum } from "../numbers.ts";
import { preparePictures, type Way } from "../pictures.ts";
import { type Bench, rounds, type Section, slice } from "./section.ts";

/** As many as the server's pool for CPU work has. */
const threads = availableParallelism();
/** Enough that no worker waits for the next picture. */
const imagesInFlight = 8 * threads;
const target = 0.9;

export async function measureImages(bench: Bench): Promise<Section> {
  await preparePictures(bench.pictures);
  const files = await measureWay(bench, "files");
  const bytes = await measureWay(bench, "bytes");
  const inBytes = Object.entries(bytes.figures).map(([name, value]) => [
    `bytes${name[0]?.toUpperCase()}${name.slice(1)}`,
    value,
  ]);
  return {
    figures: { ...files.figures, ...Object.fromEntries(inBytes), threads },
    rows: [
      { ...files.row, target: `ratio >= ${target}`, isReached: files.row.ratio >= target },
      { ...bytes.row, target: "", isReached: undefined },
    ],
    faults: [...files.faults, ...bytes.faults],
  };
}

async function measureWay(bench: Bench, way: Way) {
  const { load, baselines, server, pictures: folder } = bench;
  const run = (seconds: number) => {
    const options = { address: server.address, seconds, folder, way, imagesInFlight };
    return slice(bench, seconds, (limitMs) => load.call("runImages", options, limitMs));
  };
  const bare = (seconds: number) =>
    baselines.call("runSharp", { seconds, threads, folder, way }, 60_000 + seconds * 1000);

  const warming = [await run(1)];
  const seconds = bench.seconds / rounds;
  const slices = [];
  const loops = [];
  for (let round = 1; round <= rounds; round += 1) {
    slices.push(await run(seconds));
    loops.push(await bare(seconds));
    const last = [slices.at(-1), loops.at(-1)].map((each) => (each?.imagesPerSecond ?? 0).toFixed(1));
    bench.say(`images as ${way} ${round}/${rounds}: ${last[0]} images/s, ${last[1]} by a bare loop`);
  }

  const imagesPerSecond = median(slices.map((each) => each.imagesPerSecond));
  const bareImagesPerSecond = median(loops.map((each) => each.imagesPerSecond));
  const ratioToBare = imagesPerSecond / bareImagesPerSecond;
  const all = [...warming, ...slices];
  const submitted = sum(all.map((each) => each.submitted));
  const results = sum(all.map((each) => each.results));
  const failed = sum(all.map((each) => each.failed));
  const images = sum(slices.map((each) => each.results));
  const cpu = sum(slices.map((each) => each.serverCpuSeconds + each.cpuSeconds));
  const bareCpu = sum(loops.map((each) => each.cpuSeconds));

  return {
    figures: {
      imagesPerSecond: rounded(imagesPerSecond),
      bareImagesPerSecond: rounded(bareImagesPerSecond),
      ratioToBare: rounded(ratioToBare),
      cpuMsPerImage: rounded((cpu / images) * 1000, 3),
      bareCpuMsPerImage: rounded((bareCpu / sum(loops.map((each) => each.images))) * 1000, 3),
      submitted,
      results,
      failed,
    },
    row: {
      figure: `images: resized/s, as ${way}`,
      value: imagesPerSecond.toFixed(1),
      comparedWith: `${bareImagesPerSecond.toFixed(1)} by a bare loop`,
      ratio: ratioToBare,
    },
    faults: [
      ...(results === submitted ? [] : [`${submitted} pictures have ${results} results`]),
      ...(failed === 0 ? [] : [`${failed} pictures failed`]),
    ],
  };
}
