// IPv6 addresses and CAA records as text: what the system's own parser takes, and nothing else.

import { isIPv6 } from 'node:net';
import { expect, it } from 'vitest';
import { encodeIpv6 } from './dns-records.ts';

it.each([
  ['::', '0'.repeat(32)],
  ['::1', `${'0'.repeat(31)}1`],
  ['2001:db8::', `20010db8${'0'.repeat(24)}`],
  ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ['1::3:4:5:6:7:8', '00010000000300040005000600070008'],
  ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
])('%s', (text, hex) => {
  expect(isIPv6(text)).toBe(true);
  expect(Buffer.from(encodeIpv6(text)).toString('hex')).toBe(hex);
});

it.each([
  '',
  ':',
  ':::',
  '1',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '1:2:3:4:5:6:7::8:9',
  '1::2::3',
  '12345::',
  'g::',
  ':1::2',
  '1::2:',
  'fe80::1%eth0',
  '::1.2.3',
  '::1.2.3.400',
  '1.2.3.4',
  ' ::1',
])('%j is none', (text) => {
  // Node takes a zone, for which there is no room in a record.
  expect(isIPv6(text) && !text.includes('%')).toBe(false);
  expect(() => encodeIpv6(text)).toThrow();
});
