// Keeps a TCP port shut to whoever has not knocked: datagrams to certain ports, in this order. Who has is let
// in for a while. Everyone else meets silence, as if nothing were there. In the configuration:
//
//   applications:
//     - name: guard
//       module: ./port-knocking.mjs
//       when-off: drop
//       match: [{ protocol: tcp, port: 22 }, { protocol: udp, port: 7000-7999 }]
//       options: { port: 22, knocks: [7010, 7200, 7150], open-seconds: 30 }
//
// A client's state stands in the table that all processors share: its address, how many knocks were right
// (all: it is let in), and until when that counts.
// @ts-check

const PLACES = 65_536;
const WORDS = 4;
const UDP = 17;

let knocks = [0];
let openMs = 0;
let letIn = 0;

/** @type {import('weir/application').ApplicationHost} */
let host;

/** @type {import('weir/application').Application} */
export default {
  name: 'port-knocking',

  match: (options) => [
    { protocol: 'tcp', port: Number(options.port) },
    ...[options.knocks]
      .flat()
      .map((port) => ({ protocol: /** @type {const} */ ('udp'), port: Number(port) })),
  ],

  setup(given) {
    host = given;
    knocks = [given.options.knocks].flat().map(Number);
    openMs = Number(given.options['open-seconds'] ?? 30) * 1000;
    letIn = host.counter('let in');
  },

  onPacket(packet, nowMs) {
    const { table } = host;
    const place = ((Math.imul(packet.source ^ host.seed, 0x9e3779b1) >>> 16) % PLACES) * WORDS;
    if (table[place] !== packet.source || ((nowMs - table[place + 2]) | 0) >= 0) {
      table[place] = packet.source;
      table[place + 1] = 0;
    }
    const isIn = table[place + 1] === knocks.length;
    if (packet.protocol !== UDP && !isIn) return packet.drop();
    table[place + 2] = (nowMs + openMs) | 0;
    if (isIn) return packet.protocol === UDP ? packet.drop() : packet.pass();
    const isRight = packet.destinationPort === knocks[table[place + 1]];
    table[place + 1] = isRight ? table[place + 1] + 1 : 0;
    if (table[place + 1] === knocks.length) host.count(letIn, 1);
    return packet.drop();
  },
};
