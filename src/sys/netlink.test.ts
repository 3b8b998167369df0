import { describe, expect, it } from 'vitest';
import { readLink } from './link.ts';
import {
  decodeLinkMessage,
  forEachNetlinkMessage,
  type LinkEvent,
  NetlinkSocket,
} from './netlink.ts';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;

/** A link message for eth7, index 42, MTU 1400, as the kernel lays it out. */
function linkMessage(type: number, flags: number, family = 0): Uint8Array {
  const bytes = new Uint8Array(16 + 16 + 12 + 8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint32(8, 9, true);
  view.setUint8(16, family);
  view.setInt32(20, 42, true);
  view.setUint32(24, flags, true);
  view.setUint16(32, 9, true); // IFLA_IFNAME, 'eth7\0'
  view.setUint16(34, 3, true);
  bytes.set(new TextEncoder().encode('eth7'), 36);
  view.setUint16(44, 8, true); // IFLA_MTU
  view.setUint16(46, 4, true);
  view.setUint32(48, 1400, true);
  return bytes;
}

function decode(...messages: Uint8Array[]): (LinkEvent | undefined)[] {
  const bytes = Buffer.concat(messages);
  const copy = new Uint8Array(bytes).buffer;
  const events: (LinkEvent | undefined)[] = [];
  forEachNetlinkMessage(copy, copy.byteLength, (type, payload) => {
    events.push(decodeLinkMessage(type, payload));
  });
  return events;
}

describe('link messages', () => {
  it('tell up, running and gone', () => {
    const link = { index: 42, name: 'eth7', mtu: 1400 };
    expect(
      decode(
        linkMessage(RTM_NEWLINK, 0x10043),
        linkMessage(RTM_NEWLINK, 0x1003),
        linkMessage(RTM_NEWLINK, 0x1002),
        linkMessage(RTM_DELLINK, 0x1002),
      ),
    ).toEqual([
      { ...link, up: true, running: true, gone: false },
      { ...link, up: true, running: false, gone: false },
      { ...link, up: false, running: false, gone: false },
      { ...link, up: false, running: false, gone: true },
    ]);
  });

  it('of a bridge about its members are left out', () => {
    expect(decode(linkMessage(RTM_DELLINK, 0x1002, 7))).toEqual([undefined]);
  });

  it('that are cut off end the decoding', () => {
    const whole = linkMessage(RTM_NEWLINK, 3);
    for (let size = 0; size < whole.length; size++) {
      expect(decode(whole, whole.subarray(0, size))).toHaveLength(1);
    }
  });
});

describe('a netlink socket', () => {
  it('answers a request for one link', async () => {
    const socket = new NetlinkSocket(0);
    const request = new Uint8Array(32);
    const view = new DataView(request.buffer);
    view.setUint32(0, 32, true);
    view.setUint16(4, 18, true); // RTM_GETLINK
    view.setUint16(6, 1, true); // NLM_F_REQUEST
    view.setUint32(8, 77, true);
    view.setInt32(20, readLink('lo').index, true);
    const answer = new Promise<[number, LinkEvent | undefined]>((resolve) => {
      socket.watch(() => {
        socket.readAll((type, payload, _flags, sequence) => {
          resolve([sequence, decodeLinkMessage(type, payload)]);
        });
      });
    });
    socket.send(request);
    const [sequence, link] = await answer;
    socket.close();
    expect(sequence).toBe(77);
    expect(link?.name).toBe('lo');
    expect(link?.mtu).toBe(readLink('lo').mtu);
  });
});
