// Reads values, one JSON text a line, and writes each as deterministic CBOR (npm's cbor2, "CDE"), hexadecimal, a line.
// A value is tagged with its kind, because JSON has neither 64-bit integers, bytes nor keys that are numbers.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { cdeEncodeOptions, encode, Tag } = await import(pathToFileURL(process.argv[2]));
const options = { ...cdeEncodeOptions, avoidInts: true };  // a number is a float; integers are BigInts

const kinds = {
  int: (text) => BigInt(text),
  float: (text) => Number(text),
  text: (text) => text,
  bool: (value) => value,
  null: () => null,
  bytes: (hex) => Uint8Array.from(Buffer.from(hex, "hex")),
  tag: ([number, content]) => new Tag(BigInt(number), read(content)),
  list: (elements) => elements.map(read),
  map: (entries) => new Map(entries.map(([key, value]) => [read(key), read(value)])),
};

function read([kind, value]) {
  return kinds[kind](value);
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(Buffer.from(encode(read(JSON.parse(line)), options)).toString("hex"));
}
