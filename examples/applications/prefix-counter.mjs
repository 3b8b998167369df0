// Counts packets to a service by where they come from: the longest prefix of a list that holds the client's
// address, as one would count countries. It passes everything. In the configuration:
//
//   applications:
//     - name: origins
//       module: ./prefix-counter.mjs
//       services: [web]
//       options: { service: web, prefixes: { CH: [10.1.0.0/17], LI: [10.1.64.0/18] } }
// @ts-check

/** Prefixes by their length, longest first. @type {{ mask: number, counters: Map<number, number> }[]} */
const lengths = [];
let other = 0;

/** @type {import('weir/application').ApplicationHost} */
let host;

/** @param {string} text */
function parse(text) {
  const [address, length] = text.split('/');
  const bytes = address.split('.').map(Number);
  return {
    address: (bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3],
    length: Number(length),
  };
}

/** @type {import('weir/application').Application} */
export default {
  name: 'prefix-counter',

  match: (options) => ({ service: String(options.service) }),

  setup(given) {
    host = given;
    const named = /** @type {Record<string, string[]>} */ (given.options.prefixes);
    const all = Object.entries(named).flatMap(([name, texts]) => {
      const counter = given.counter(name);
      return texts.map((text) => ({ ...parse(text), counter }));
    });
    other = given.counter('other');
    for (const length of new Set(all.map((each) => each.length).sort((a, b) => b - a))) {
      const mask = length === 0 ? 0 : -1 << (32 - length);
      const same = all.filter((each) => each.length === length);
      const counters = new Map(same.map(({ address, counter }) => [address & mask, counter]));
      lengths.push({ mask, counters });
    }
  },

  onPacket(packet) {
    for (let i = 0; i < lengths.length; i++) {
      const counter = lengths[i].counters.get(packet.source & lengths[i].mask);
      if (counter === undefined) continue;
      host.count(counter, 1);
      return packet.pass();
    }
    host.count(other, 1);
    return packet.pass();
  },
};
