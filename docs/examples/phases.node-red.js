// Read a phase frame. For a Node-RED function node: paste this file into it, after an "mqtt in" node that subscribes to
// becomingone/home/node/+/phase/+/+ with the output "a Buffer". flow.json has both, ready to import.
//
// In:  msg.topic and msg.payload as they come from the broker.
// Out: msg.payload is an object with the names of the table in docs/protocol.md, null for what is absent; phasors and
//      resonance as arrays [re, im]; seq and time_us as BigInt, as they may need 64 bits. Beside them node, band and
//      channel from the topic, time (a Date) and phase (rad, or null) of the last sample.
// What "Refusals" on that page tells to refuse is an error for a "catch" node; its message begins with the reason.

function refuse(reason, detail) {
    throw new Error(reason + ": " + detail);
}

function reader(bytes) {
    let at = 0, items = 0;

    function take(count) {
        if (count > bytes.length - at) refuse("truncated", "the payload ends too early");
        at += count;
        return bytes.subarray(at - count, at);
    }

    function half(bits) {
        const sign = bits & 0x8000 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023;
        if (exponent === 31) return fraction ? NaN : sign * Infinity;
        return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
    }

    function argument(info) {  // a Number up to 32 bits, a BigInt above
        if (info < 24) return info;
        if (info === 31) refuse("indefinite", "lengths are definite");
        if (info > 27) refuse("malformed", "reserved bits");
        const raw = take(1 << info - 24);
        return info === 27 ? raw.readBigUInt64BE() : raw.readUIntBE(0, raw.length);
    }

    function item(depth) {
        if (depth > 8) refuse("depth", "more than 8 levels");
        if (++items > 1024) refuse("too_long", "more than 1,024 items");
        const first = take(1)[0], major = first >> 5, info = first & 31;
        if (major === 7) return simple(info);
        const value = argument(info), length = Number(value);
        if (major === 0) return value;
        if (major === 1) return -1n - BigInt(value);
        if (major === 6) return tagged(length, depth + 1);
        if (major > 3 && length > 256) refuse("too_long", "more than 256 entries");
        if (major === 4) return Array.from({ length }, () => item(depth + 1));
        if (major === 5) return map(length, depth + 1);
        const content = take(length);
        if (major === 2) return content;
        const text = content.toString("utf8");
        if (!Buffer.from(text, "utf8").equals(content)) refuse("malformed", "a text that is not UTF-8");
        return text;
    }

    function simple(info) {
        if (info >= 20 && info <= 22) return [false, true, null][info - 20];
        if (info === 25) return { float: half(take(2).readUInt16BE()) };
        if (info === 26) return { float: take(4).readFloatBE() };
        if (info === 27) return { float: take(8).readDoubleBE() };
        argument(info);
        return refuse("type", "a simple value without meaning");
    }

    function tagged(tag, depth) {
        if (tag !== 85) refuse("tag", "only tag 85 is taken");
        if (at < bytes.length && bytes[at] >> 5 !== 2) refuse("tag", "tag 85 stands before a byte string");
        return { samples: item(depth) };
    }

    function map(count, depth) {
        const found = new Map();
        for (let entry = 0; entry < count; entry++) {
            let key = item(depth);
            if (typeof key === "bigint" && key >= 0n && key <= 0xffffffffn) key = Number(key);  // in eight bytes
            const unsigned = typeof key === "number" || (typeof key === "bigint" && key >= 0n);
            if (!unsigned && typeof key !== "string") refuse("type", "a key that is neither a number nor a text");
            if (found.has(key)) refuse("duplicate_key", "a key stands there twice");
            found.set(key, item(depth));
        }
        return found;
    }

    const root = bytes.length && bytes[0] >> 5 === 5 ? item(1) : refuse("type", "the payload must be one map");
    if (at !== bytes.length) refuse("trailing", "bytes after the map");
    if ([...root.keys()].some(key => typeof key === "string")) refuse("type", "the keys must be unsigned integers");
    return root;
}

function decode(bytes) {
    if (bytes.length > 1 << 20) refuse("oversize", "more than 1 MiB");
    const fields = reader(bytes);

    function given(key, name) {
        return fields.has(key) ? fields.get(key) : refuse("missing", name);
    }

    function whole(key, name, bits) {
        const value = given(key, name);
        if (typeof value !== "number" && typeof value !== "bigint") refuse("type", name);
        if (value < 0 || BigInt(value) >= 1n << BigInt(bits)) refuse("range", name);
        return bits > 32 ? BigInt(value) : Number(value);
    }

    function number(key, name, least, most) {
        let value = given(key, name);
        if (value && value.float !== undefined) value = value.float;
        else if (typeof value !== "number" && typeof value !== "bigint") refuse("type", name);
        value = Number(value);
        if (!Number.isFinite(value)) refuse("not_finite", name);
        return value >= least && value <= most ? value : refuse("range", name);
    }

    function samples(key, name, most) {
        const value = given(key, name), bytes = value && value.samples;
        if (!bytes) refuse("type", name);
        if (bytes.length === 0 || bytes.length % 8) refuse("range", name);
        if (bytes.length > 8 * most) refuse("too_long", name);
        const pairs = [];
        for (let at = 0; at < bytes.length; at += 8) pairs.push([bytes.readFloatLE(at), bytes.readFloatLE(at + 4)]);
        if (!pairs.flat().every(Number.isFinite)) refuse("not_finite", name);
        return pairs.every(pair => Math.hypot(...pair) <= 1.00001) ? pairs : refuse("range", name);
    }

    const most = 3.4028234663852886e38;
    const frame = {
        boot: whole(1, "boot", 32),
        seq: whole(2, "seq", 64),
        time_us: whole(3, "time_us", 63),
        spacing_us: fields.has(4) ? number(4, "spacing_us", 1e-3, 1e15) : null,
        phasors: samples(5, "phasors", 65536),
        coherence: number(6, "coherence", 0, 1),
        n_eff: number(7, "n_eff", 1, most),
        p: number(8, "p", 0, 1),
        omega: number(9, "omega", -1e9, 1e9),
        omega_sigma: number(10, "omega_sigma", 0, most),
        phase_sigma: number(11, "phase_sigma", 0, most),
        resonance: fields.has(12) ? samples(12, "resonance", 1)[0] : null,
        clock_sigma_s: number(13, "clock_sigma_s", 0, most),
        flags: whole(14, "flags", 32),
    };
    const single = frame.phasors.length === 1;
    if ((frame.spacing_us === null) !== single) refuse("missing", "spacing_us belongs to a block, and to nothing else");
    return frame;
}

const frame = decode(msg.payload), [re, im] = frame.phasors[frame.phasors.length - 1];
const [node_id, , band, channel] = msg.topic.split("/").slice(-4);
const last_us = Number(frame.time_us) + (frame.phasors.length - 1) * (frame.spacing_us || 0);
const phase = frame.flags & 1 ? Math.atan2(im, re) : null;
msg.payload = { node: node_id, band, channel, time: new Date(last_us / 1000), phase, ...frame };
return msg;
