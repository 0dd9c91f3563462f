// Write a phase frame. For a Node-RED function node: paste this file into it, before an "mqtt out" node.
//
// In:  msg.payload is an object with the names of the table in docs/protocol.md; spacing_us and resonance may be null
//      or missing; phasors and resonance are arrays [re, im]; seq and time_us may be Numbers or BigInts.
// Out: msg.payload is the Buffer to publish. A node that publishes its own frames must describe itself first, see
//      join.py. The same object gives the same bytes everywhere: RFC 8949, 4.2.

function head(major, value) {
    const number = BigInt(value);
    if (number < 24n) return Buffer.from([major << 5 | Number(number)]);
    const info = number < 1n << 8n ? 0 : number < 1n << 16n ? 1 : number < 1n << 32n ? 2 : 3;
    const raw = Buffer.alloc(8);
    raw.writeBigUInt64BE(number);
    return Buffer.concat([Buffer.from([major << 5 | 24 + info]), raw.subarray(8 - (1 << info))]);
}

function half(value) {  // the bits of the half that is the value, or null where none is
    const size = Math.abs(value), sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
    if (size === 0) return sign;
    const exponent = Math.max(-14, Math.floor(Math.log2(size))), scaled = size / 2 ** exponent * 1024;
    if (exponent > 15 || !Number.isInteger(scaled)) return null;
    return sign | (scaled < 1024 ? scaled : (exponent + 15 << 10) + scaled - 1024);
}

function number(value) {  // rounded to a single, and written as a half where that keeps it
    const single = Math.fround(value), bits = half(single), raw = Buffer.alloc(bits === null ? 5 : 3);
    if (!Number.isFinite(single)) throw new Error("not_finite: " + value);
    raw[0] = bits === null ? 0xfa : 0xf9;
    if (bits === null) raw.writeFloatBE(single, 1);
    else raw.writeUInt16BE(bits, 1);
    return raw;
}

function samples(pairs) {
    const raw = Buffer.alloc(8 * pairs.length);
    pairs.flat().forEach((value, index) => raw.writeFloatLE(value, 4 * index));
    return Buffer.concat([head(6, 85), head(2, raw.length), raw]);
}

const whole = value => head(0, value);
const fields = [
    ["boot", whole], ["seq", whole], ["time_us", whole], ["spacing_us", number], ["phasors", samples],
    ["coherence", number], ["n_eff", number], ["p", number], ["omega", number], ["omega_sigma", number],
    ["phase_sigma", number], ["resonance", pair => samples([pair])], ["clock_sigma_s", number], ["flags", whole],
];
const entries = [];
fields.forEach(([name, write], index) => {
    const value = msg.payload[name];
    if (value !== null && value !== undefined) entries.push(head(0, index + 1), write(value));
});
msg.payload = Buffer.concat([head(5, entries.length / 2), ...entries]);
return msg;
