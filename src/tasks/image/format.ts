/** Recognises file formats by content, never by name. */
import { permanent, type TaskError } from "../../pool/task.ts";

/** The supported formats of sources. */
export type SourceFormat = "jpeg" | "png" | "webp" | "avif" | "gif" | "tiff";

/** Signature of each format at the start of a file; `.` matches any byte. */
const signatures: readonly (readonly [SourceFormat, string])[] = [
  ["jpeg", "\xff\xd8\xff"],
  ["png", "\x89PNG\r\n\x1a\n"],
  ["gif", "GIF8.a"],
  ["webp", "RIFF....WEBP"],
  ["tiff", "II*\0"],
  ["tiff", "MM\0*"],
  ["tiff", "II+\0"], // BigTIFF
  ["tiff", "MM\0+"],
];

/** Unsupported formats that users may send. The failure names them, so that users know what to convert. */
const unsupportedFormats: readonly (readonly [string, string])[] = [
  ["BMP", "BM"],
  ["an icon (ICO)", "\0\0\x01\0"],
  ["a cursor (CUR)", "\0\0\x02\0"],
  ["an icon (ICNS)", "icns"],
  ["JPEG XL", "\xff\x0a"],
  ["JPEG XL", "\0\0\0\x0cJXL "],
  ["JPEG 2000", "\0\0\0\x0cjP  "],
  ["JPEG 2000", "\xff\x4f\xff\x51"],
  ["JPEG XR", "II\xbc"],
  ["Photoshop (PSD)", "8BPS"],
  ["GIMP (XCF)", "gimp xcf"],
  ["OpenEXR", "\x76\x2f\x31\x01"],
  ["Radiance HDR", "#?RADIANCE"],
  ["DirectDraw (DDS)", "DDS "],
  ["QOI", "qoif"],
  ["DjVu", "AT&TFORM"],
  ["PDF", "%PDF-"],
  ["PostScript", "%!PS"],
  ["a Fujifilm raw picture (RAF)", "FUJIFILMCCD-RAW"],
  ["a sound or video (RIFF)", "RIFF"],
  ["a video (Matroska or WebM)", "\x1a\x45\xdf\xa3"],
  ["a ZIP archive", "PK\x03\x04"],
  ["a gzip archive", "\x1f\x8b"],
];

/** Brands of the box `ftyp` (ISO 14496-12, section 4.3). Image sequences have brands of their own. */
const brands: readonly (readonly [string, RegExp])[] = [
  ["HEIC", /^(?:hei[cxms]|hev[cxms])$/],
  ["HEIF", /^(?:mif[12]|msf1)$/],
  ["JPEG 2000", /^jp2 $/],
  ["a Canon raw picture (CR3)", /^crx $/],
  ["a video (MP4 or QuickTime)", /^(?:isom|iso\d|mp4\d|M4V |qt  |avc1|3g..|dash)$/],
];

/** Each pattern runs in linear time, because the text is untrusted. */
const texts: readonly (readonly [string, RegExp])[] = [
  ["HTML", /^<(?:!doctype html|html|head|body)[\s>]/i],
  ["SVG", /^<(?:[^]*<)?(?:svg:)?svg[\s>]/i],
  ["HTML", /^<[^]*<(?:!doctype html|html|head|body)[\s>]/i],
  ["XML", /^<\?xml/],
  ["JSON", /^[{[]\s*["{[\]}\d]/],
  ["a picture of the Netpbm family (PPM, PGM, PBM, PAM)", /^P[1-7]\s/],
];

/** Only this much of a text is examined. */
const maxHeadBytes = 1024;

/** Recognises a picture by its first bytes; undefined for unsupported formats, such as SVG or PDF. */
export function formatOf(bytes: Uint8Array): SourceFormat | undefined {
  const head = headOf(bytes);
  if (brandsOf(head).some((brand) => brand === "avif" || brand === "avis")) return "avif";
  return signatures.find(([, signature]) => matches(head, signature))?.[0];
}

/** The failure of a job whose source `formatOf` does not recognise. Names the format if it is known. */
export function unsupported(bytes: Uint8Array): TaskError {
  const what = bytes.byteLength === 0 ? "empty" : (unsupportedFormatOf(headOf(bytes)) ?? "of an unknown kind");
  return permanent(
    "unsupported_format",
    `the source is ${what}, which is none of JPEG, PNG, WebP, AVIF, GIF and TIFF: convert it first`,
    { source: what },
  );
}

function unsupportedFormatOf(head: string): string | undefined {
  const own = brandsOf(head);
  const [byBrand] = brands.find(([, pattern]) => own.some((brand) => pattern.test(brand))) ?? [];
  if (byBrand !== undefined) return byBrand;
  const text = decodedText(head).trimStart();
  const [byText] = texts.find(([, pattern]) => pattern.test(text)) ?? [];
  if (byText !== undefined) return byText;
  const [bySignature] = unsupportedFormats.find(([, signature]) => matches(head, signature)) ?? [];
  return bySignature ?? (/^[\t\n\r -~]+$/.test(text) ? "plain text" : undefined);
}

/** Decodes the head as text: UTF-16 if it has its byte order mark, otherwise byte by byte; without the mark. */
function decodedText(head: string): string {
  const bytes = Buffer.from(head, "latin1");
  if (head.startsWith("\xff\xfe")) return bytes.toString("utf16le", 2);
  if (head.startsWith("\xfe\xff"))
    return bytes
      .subarray(0, bytes.length & ~1)
      .swap16()
      .toString("utf16le", 2);
  return head.startsWith("\xef\xbb\xbf") ? head.slice(3) : head;
}

function headOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, maxHeadBytes)).toString("latin1");
}

function matches(head: string, signature: string): boolean {
  return head.length >= signature.length && signature.split("").every((char, at) => char === "." || char === head[at]);
}

/** The brands in the `ftyp` box at the start; none if there is no such box. */
function brandsOf(head: string): readonly string[] {
  if (head.slice(4, 8) !== "ftyp") return [];
  const boxBytes = Buffer.from(head.slice(0, 4), "latin1").readUInt32BE();
  return (head.slice(8, 12) + head.slice(16, boxBytes)).match(/[^]{4}/g) ?? [];
}
