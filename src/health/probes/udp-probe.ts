// Health check by UDP: sends a payload. With `expect` the answer must contain those bytes. Without it
// silence passes, because many protocols do not answer everything, and only a refusal of the server's
// host (ICMP port unreachable) or no way to it fails: it shows that a program has its port open.

import { parseHex } from '../matchers.ts';
import { plain } from '../words.ts';
import { askByDatagram } from './datagram.ts';
import { failed, type Probe, passed } from './probe.ts';

const SHOWN_BYTES = 16;

export const probeUdp: Probe = (target, finish) => {
  const { send, sendHex, expect, expectHex } = target.settings;
  const payload = bytesOf(send, sendHex) ?? Buffer.alloc(0);
  const wanted = bytesOf(expect, expectHex);
  let other = '';
  return askByDatagram(target, payload, finish, {
    take(message) {
      if (wanted === undefined) return passed(`answered ${message.length} bytes`);
      if (message.includes(wanted)) return passed('answered as expected');
      const shown = message.subarray(0, SHOWN_BYTES);
      other =
        expectHex === undefined ? `'${plain(shown.toString('latin1'))}'` : shown.toString('hex');
      return undefined;
    },
    expire(within) {
      if (wanted === undefined) return passed(`not refused within ${within}`);
      const seen = other === '' ? '' : ` as expected, but ${other},`;
      return failed(`no answer${seen} within ${within}`);
    },
  });
};

function bytesOf(text: string | undefined, hex: string | undefined): Buffer | undefined {
  if (hex !== undefined) return parseHex(hex);
  return text === undefined ? undefined : Buffer.from(text, 'utf8');
}
