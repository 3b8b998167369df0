// Answers every datagram with itself, from the switching processor (RFC 862). In the configuration:
//
//   applications:
//     - { name: echo, module: ./udp-echo.mjs, options: { port: 7777 } }
//
// Two of them that answer each other would never stop; so nothing is sent to ports that servers have.
// @ts-check

const LOWEST_PORT = 1024;
let tooLow = 0;

/** @type {import('weir/application').ApplicationHost} */
let host;

/** @type {import('weir/application').Application} */
export default {
  name: 'udp-echo',

  match: (options) => ({ protocol: 'udp', port: Number(options.port ?? 7) }),

  setup(given) {
    host = given;
    tooLow = host.counter('from a low port');
  },

  onPacket(packet) {
    if (packet.sourcePort < LOWEST_PORT) {
      host.count(tooLow, 1);
      return packet.drop();
    }
    // The data stays where it is: only its length has to be said.
    return packet.reply(packet.payloadLength);
  },
};
