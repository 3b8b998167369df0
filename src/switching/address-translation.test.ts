// One address put in the place of another: the same as if the packet had been made with it, and nothing
// written behind its end, wherever it ends.

import { expect, it } from 'vitest';
import { type Ipv4Spec, packet } from '../../test/support/packet-builder.ts';
import { parseAddress } from '../wire/ipv4.ts';
import { replaceDestination, replaceSource } from './address-translation.ts';

const OLD = '10.1.0.50';
const NEW = '10.2.0.9';
const PEER = '192.0.2.7';
const POISON = 0xa5;

const withOptions = (ip: Ipv4Spec) => packet().ipv4({ ...ip, options: new Uint8Array(8).fill(1) });
const KINDS = {
  TCP: (ip: Ipv4Spec) =>
    packet()
      .ipv4(ip)
      .tcp({ flags: ['ACK'] })
      .payload('abc'),
  'TCP with options': (ip: Ipv4Spec) => withOptions(ip).tcp({ flags: ['SYN'] }),
  UDP: (ip: Ipv4Spec) => packet().ipv4(ip).udp().payload('abc'),
  'UDP without checksum': (ip: Ipv4Spec) => packet().ipv4(ip).udp({ checksum: 0 }).payload('abc'),
  'UDP with options': (ip: Ipv4Spec) => withOptions(ip).udp(),
  echo: (ip: Ipv4Spec) => packet().ipv4(ip).icmp({ type: 8 }).payload('abc'),
};
type Direction = 'source' | 'destination';
const other = (direction: Direction): Direction => {
  return direction === 'source' ? 'destination' : 'source';
};

/** Replaces an address of the first `length` bytes; what stands behind them is others', though it fits. */
function replaced(direction: Direction, bytes: Uint8Array, length: number): Uint8Array {
  const memory = new Uint8Array(length + 64).fill(POISON);
  memory.set(bytes.subarray(0, length + 64));
  const before = memory.slice();
  const replace = direction === 'source' ? replaceSource : replaceDestination;
  replace(new DataView(memory.buffer), 0, length, parseAddress(NEW));
  expect(memory.subarray(length)).toEqual(before.subarray(length));
  return memory.subarray(0, length);
}

for (const direction of ['source', 'destination'] as const) {
  const ip = (address: string) => ({ [direction]: address, [other(direction)]: PEER });
  const embedded = (address: string) => ({ [other(direction)]: address, [direction]: PEER });

  it.each(Object.entries(KINDS))(`the ${direction} of %s`, (_name, build) => {
    const bytes = build(ip(OLD)).bytes();
    expect(replaced(direction, bytes, bytes.length)).toEqual(build(ip(NEW)).bytes());
    for (let length = 20; length < bytes.length; length++) replaced(direction, bytes, length);
  });

  it.each(Object.entries(KINDS))(`the ${direction} of an error about %s`, (_name, build) => {
    const error = (address: string) =>
      packet()
        .ipv4(ip(address))
        .icmp({ type: 3, code: 1, embedded: build(embedded(address)) });
    const bytes = error(OLD).bytes();
    expect(replaced(direction, bytes, bytes.length)).toEqual(error(NEW).bytes());
    for (let length = 28; length < bytes.length; length++) replaced(direction, bytes, length);
  });

  it(`the ${direction} of a later fragment that looks like an error: of the fragment alone`, () => {
    const rest = packet()
      .icmp({ type: 3, code: 1, embedded: KINDS.UDP(embedded(OLD)) })
      .bytes();
    const fragment = (address: string) =>
      packet()
        .ipv4({ ...ip(address), fragmentOffset: 8, protocol: 1 })
        .payload(rest);
    const bytes = fragment(OLD).bytes();
    expect(replaced(direction, bytes, bytes.length)).toEqual(fragment(NEW).bytes());
  });

  it(`the ${direction} of an error about another's packet: of the error alone`, () => {
    const error = (address: string) =>
      packet()
        .ipv4(ip(address))
        .icmp({ type: 3, embedded: KINDS.UDP(embedded('10.9.9.9')) });
    const bytes = error(OLD).bytes();
    expect(replaced(direction, bytes, bytes.length)).toEqual(error(NEW).bytes());
  });
}
