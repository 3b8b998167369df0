// Settings that cannot work are found before anything is checked with them; words and matchers.

import { describe, expect, it } from 'vitest';
import { bodyFault, isWantedStatus, parseHex, parseStatusRanges } from './matchers.ts';
import { DEFAULT_HEALTH, DEFAULT_PASSIVE, type HealthSettings } from './settings.ts';
import { healthFaults, passiveFaults } from './settings-faults.ts';
import { duration, errorText, plain } from './words.ts';

const keysOf = (settings: Partial<HealthSettings>) =>
  healthFaults({ ...DEFAULT_HEALTH, ...settings }).map(({ key }) => key);

describe('healthFaults', () => {
  it('finds none in the defaults', () => {
    expect(keysOf({})).toEqual([]);
    expect(keysOf({ type: 'http' })).toEqual([]);
    expect(keysOf({ type: 'dns', query: 'example.com.' })).toEqual([]);
    expect(keysOf({ type: 'script', command: ['/bin/true'] })).toEqual([]);
    expect(passiveFaults(DEFAULT_PASSIVE)).toEqual([]);
  });

  it.each<[string, Partial<HealthSettings>]>([
    ['interval', { intervalMs: 1 }],
    ['fast-interval', { fastIntervalMs: 0 }],
    ['timeout', { timeoutMs: 0 }],
    ['jitter', { jitter: 51 }],
    ['rise', { rise: 0 }],
    ['fall', { fall: 0 }],
    ['hold-max', { holdMs: 10, holdMaxMs: 9 }],
    ['method', { type: 'http', method: 'get' }],
    ['path', { type: 'http', path: '/a b' }],
    ['path', { type: 'http', path: 'a' }],
    ['host', { type: 'http', host: 'a\r\nx: y' }],
    ['status', { type: 'http', status: '200-' }],
    ['status', { type: 'http', status: '300-200' }],
    ['body', { type: 'http', body: '/(/' }],
    ['body', { type: 'http', method: 'HEAD', body: 'x' }],
    ['server-name', { type: 'https', serverName: '10.0.0.1' }],
    ['query', { type: 'dns' }],
    ['query', { type: 'dns', query: 'a..b' }],
    ['query', { type: 'dns', query: `${'a'.repeat(64)}.b` }],
    ['expect-address', { type: 'dns', query: '.', expectAddress: 'x' }],
    ['expect-address', { type: 'dns', query: '.', expectAddress: '::1' }],
    ['send-hex', { type: 'udp', sendHex: '0' }],
    ['send', { type: 'udp', send: 'a', sendHex: '00' }],
    ['expect', { type: 'udp', expect: 'x'.repeat(2_000) }],
    ['command', { type: 'script', command: [] }],
    ['command', { type: 'script', command: ['check'] }],
  ])('finds a faulty %s', (key, settings) => {
    expect(keysOf(settings)).toEqual([key]);
  });

  it('finds passive settings that observe nothing or cannot', () => {
    const keys = (settings: object) =>
      passiveFaults({ ...DEFAULT_PASSIVE, ...settings }).map(({ key }) => key);
    expect(keys({ unanswered: 0, resets: 0 })).toEqual(['unanswered']);
    expect(keys({ windowMs: 10 })).toEqual(['window']);
    expect(keys({ resets: 101 })).toEqual(['resets']);
  });
});

describe('matchers', () => {
  it('takes ranges and single codes', () => {
    expect(parseStatusRanges('200-299, 404')).toEqual([
      [200, 299],
      [404, 404],
    ]);
    for (const text of ['', 'ok', '20', '099', '600', '200,', '200-300-400']) {
      expect(parseStatusRanges(text)).toBeUndefined();
    }
    expect([200, 399, 400].map((code) => isWantedStatus(code, '200-399'))).toEqual([
      true,
      true,
      false,
    ]);
  });

  it('looks for text and for regular expressions', () => {
    expect(bodyFault('all is well', 'is well')).toBeUndefined();
    expect(bodyFault('all is well', 'is bad')).toBe("does not contain 'is bad'");
    expect(bodyFault('READY', '/ready|ok/i')).toBeUndefined();
    expect(bodyFault('READY', '/ready/')).toBe('does not match /ready/');
    // One slash makes no expression.
    expect(bodyFault('see /ready', '/ready')).toBeUndefined();
  });

  it('gives a regular expression up that would run for ever', () => {
    const hostile = `${'a'.repeat(60)}!`;
    expect(bodyFault(hostile, '/^(a+)+$/')).toBe('took longer than 50 ms to match /^(a+)+$/');
    expect(bodyFault('aaa', '/^(a+)+$/')).toBeUndefined();
  });

  it('reads hexadecimal', () => {
    expect(parseHex('00 fF')).toEqual(Buffer.of(0, 255));
    expect(parseHex('0')).toBeUndefined();
    expect(parseHex('zz')).toBeUndefined();
  });
});

describe('words', () => {
  it('names durations', () => {
    const all = [0, 500, 999, 1_000, 1_500, 60_000, 120_000, 300_000].map(duration);
    expect(all).toEqual(['0 ms', '500 ms', '999 ms', '1 s', '1.5 s', '60 s', '2 min', '5 min']);
  });

  it('makes one bounded line of whatever a server says', () => {
    expect(plain('a\r\n\x1b[31mred\u202e\u0000b')).toBe('a [31mred b');
    expect(plain('x'.repeat(10_000))).toHaveLength(201);
    expect(plain('\n\t ')).toBe('');
  });

  it('names errors of the system', () => {
    expect(errorText(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }))).toBe(
      'connection refused',
    );
    expect(errorText(new Error('odd\nthing'))).toBe('odd thing');
  });
});
