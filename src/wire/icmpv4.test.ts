// Goal: each field is read and written in its own bytes, and just the error types of RFC 792 are
// errors. Method: literal messages, every truncation, all types, writing over poison.

import { describe, expect, it } from 'vitest';
import { bytesAt, hex, isPoisonOutside, poisonedView, viewOf } from '../../test/support/bytes.ts';
import { packet } from '../../test/support/packet-builder.ts';
import { sum } from './checksum.ts';
import * as icmpv4 from './icmpv4.ts';
import * as ipv4 from './ipv4.ts';

describe('icmpv4', () => {
  it('reads a literal message', () => {
    const view = viewOf(hex('fffe eb0a 9234 fab9 0000 0000'), 1);
    expect(icmpv4.type(view, 1)).toBe(255);
    expect(icmpv4.code(view, 1)).toBe(254);
    expect(icmpv4.checksum(view, 1)).toBe(0xeb0a);
    expect(icmpv4.identifier(view, 1)).toBe(0x9234);
    expect(icmpv4.sequence(view, 1)).toBe(0xfab9);
  });

  it('writes each field into its own bytes', () => {
    const view = poisonedView(20);
    icmpv4.setType(view, 5, icmpv4.TYPE_ECHO_REPLY);
    icmpv4.setCode(view, 5, 7);
    icmpv4.setChecksum(view, 5, 0xfedc);
    icmpv4.setIdentifier(view, 5, 0xba98);
    icmpv4.setSequence(view, 5, 0x1234);
    expect(bytesAt(view, 5, 8)).toEqual(hex('0007 fedc ba98 1234'));
    icmpv4.clearRest(view, 5);
    expect(bytesAt(view, 5, 8)).toEqual(hex('0007 fedc 0000 0000'));
    icmpv4.setNextHopMtu(view, 5, 1400);
    expect(bytesAt(view, 5, 8)).toEqual(hex('0007 fedc 0000 0578'));
    icmpv4.setNextHopMtu(view, 5, 65520);
    expect(icmpv4.nextHopMtu(view, 5)).toBe(65520);
    expect(isPoisonOutside(view, 5, 8)).toBe(true);
  });

  it('is complete with eight bytes and at no truncation', () => {
    const view = poisonedView(20);
    for (let size = 0; size < 8; size++) expect(icmpv4.isComplete(view, 2, 2 + size)).toBe(false);
    expect(icmpv4.isComplete(view, 2, 10)).toBe(true);
  });

  it('has the type and code numbers of RFC 792', () => {
    expect([icmpv4.TYPE_ECHO_REPLY, icmpv4.TYPE_ECHO]).toEqual([0, 8]);
    expect([icmpv4.TYPE_DESTINATION_UNREACHABLE, icmpv4.TYPE_TIME_EXCEEDED]).toEqual([3, 11]);
    expect([icmpv4.CODE_HOST_UNREACHABLE, icmpv4.CODE_PORT_UNREACHABLE]).toEqual([1, 3]);
    expect(icmpv4.CODE_FRAGMENTATION_NEEDED).toBe(4);
  });

  it('has five types of errors', () => {
    const errors = Array.from({ length: 256 }, (_, type) => type).filter(icmpv4.isError);
    expect(errors).toEqual([3, 4, 5, 11, 12]);
  });

  it('finds the packet that an error is about', () => {
    const cause = packet().ipv4({ source: '10.0.0.9' }).udp({ destinationPort: 4242 });
    const code = icmpv4.CODE_FRAGMENTATION_NEEDED;
    const bytes = packet().icmp({ type: 3, code, sequence: 1400, embedded: cause }).bytes();
    const view = viewOf(bytes, 6);
    expect(icmpv4.nextHopMtu(view, 6)).toBe(1400);
    const embedded = icmpv4.embeddedPacketOffset(6);
    expect(ipv4.formatAddress(ipv4.source(view, embedded))).toBe('10.0.0.9');
    expect(sum(view, 6, bytes.length, 0)).toBe(0xffff);
  });
});
