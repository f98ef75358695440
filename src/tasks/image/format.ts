/** The formats of pictures that are read; what a picture is, its content says, never its name. */
export type SourceFormat = "jpeg" | "png" | "webp" | "avif" | "gif" | "tiff";

/** Signature of each format at the start of a file; `.` stands for any byte. */
const signatures: readonly (readonly [SourceFormat, string])[] = [
  ["jpeg", "\xff\xd8\xff"],
  ["png", "\x89PNG\r\n\x1a\n"],
  ["gif", "GIF8.a"],
  ["webp", "RIFF....WEBP"],
  ["tiff", "II*\0"],
  ["tiff", "MM\0*"],
];

/** Recognises a picture by its first bytes; undefined for anything that is not read here, such as SVG or PDF. */
export function formatOf(bytes: Uint8Array): SourceFormat | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 256)).toString("latin1");
  const match = signatures.find(([, signature]) => matches(head, signature));
  return match?.[0] ?? (isAvif(head) ? "avif" : undefined);
}

function matches(head: string, signature: string): boolean {
  return head.length >= signature.length && signature.split("").every((char, at) => char === "." || char === head[at]);
}

/** AVIF is a box `ftyp` that names the brand `avif`, or `avis` for sequences (ISO 14496-12, section 4.3). */
function isAvif(head: string): boolean {
  if (head.slice(4, 8) !== "ftyp") return false;
  const boxBytes = Buffer.from(head.slice(0, 4), "latin1").readUInt32BE();
  const brands = (head.slice(8, 12) + head.slice(16, boxBytes)).match(/[^]{4}/g) ?? [];
  return brands.some((brand) => brand === "avif" || brand === "avis");
}
