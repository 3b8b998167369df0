// Goal: the right answer to every kind of question, letter by letter as the RFCs want it, and no harm from
// anything else. Method: a name server on plain memory; answers are read by code that shares nothing with it.
// Real askers (dig, dnsmasq, unbound): test/scenario/dns-application.test.ts.

import { beforeEach, describe, expect, it } from 'vitest';
import {
  type DnsMessage,
  dnsQuery,
  OPT,
  type QueryOptions,
  readDns,
  TYPES,
} from '../../../test/support/dns-message.ts';
import { Prng } from '../../base/prng.ts';
import type { ApplicationHost } from '../contract.ts';
import type { ServiceView } from '../service-view.ts';
import { type DnsOptions, NameServer, NO_ANSWER } from './name-server.ts';

const START = 100;
const ROOM = 1500;
const CLIENT = (192 << 24) | (2 << 8) | 1;
const OPTIONS: DnsOptions = {
  zones: [
    {
      name: 'example.org',
      ttl: 300,
      'negative-ttl': 20,
      nameservers: ['ns1', 'ns2.example.net.'],
      serial: 7,
      records: [
        { name: '@', type: 'MX', value: ['10 mail', '20 mail.example.net.'] },
        { name: 'ns1', type: 'A', value: '192.0.2.53' },
        { name: 'Www', service: 'web', ttl: 5, answers: 2, ipv6: { b1: '2001:db8::1' } },
        { name: 'one', service: 'web' },
        { name: 'empty', service: 'nobody' },
        { name: 'v6', type: 'AAAA', value: '2001:db8:0:1::c000:201' },
        { name: 'alias', type: 'CNAME', value: 'alias2' },
        { name: 'alias2', type: 'CNAME', value: 'ns1' },
        { name: 'elsewhere', type: 'CNAME', value: 'www.example.com.' },
        { name: 'dangling', type: 'CNAME', value: 'not.here' },
        { name: 'loop', type: 'CNAME', value: 'loop' },
        {
          name: 'big',
          type: 'TXT',
          value: ['a', 'b', 'c', 'd', 'e', 'f'].map((x) => x.repeat(250)),
        },
        { name: 'medium', type: 'TXT', value: ['a'.repeat(250), 'b'.repeat(250)] },
        { name: 'a.b.c', type: 'A', value: '192.0.2.9' },
        { name: '*.wild', type: 'A', value: '192.0.2.77' },
        { name: 'known.wild', type: 'TXT', value: 'here' },
        { name: 'into', type: 'CNAME', value: 'any.wild' },
        { name: 'caa', type: 'CAA', value: '0 issue "ca.example; x=1"' },
      ],
    },
    { name: 'sub.example.org', nameservers: ['ns1.example.org.'], records: [] },
  ],
};

let counts: Record<string, number>;
let memory: Uint8Array<ArrayBuffer>;
let server: NameServer;

function fakeService(backends: readonly number[]): ServiceView {
  return {
    positions: () => backends.length,
    choose: (position: number) =>
      backends.length === 0 ? -1 : backends[position % backends.length],
    address: (backend: number) => (10 << 24) | backend,
    backendId: (name: string) => Number(name.slice(1)),
  } as unknown as ServiceView;
}

function serverWith(options: DnsOptions): NameServer {
  counts = {};
  memory = new Uint8Array(4096);
  const names: string[] = [];
  const host = {
    processor: 0,
    processors: 1,
    view: new DataView(memory.buffer),
    bytes: memory,
    table: new Int32Array(1 << 10),
    seed: 99,
    counter: (name: string) => names.push(name) - 1,
    count: (counter: number, n: number) => {
      counts[names[counter]] = (counts[names[counter]] ?? 0) + n;
    },
    service: (name: string) => fakeService(name === 'web' ? [1, 1, 2] : []),
  } as unknown as ApplicationHost;
  return new NameServer(host, options);
}

function respond(query: Uint8Array, client = CLIENT, nowMs = 1000): Uint8Array | undefined {
  memory.fill(0xa5);
  memory.set(query, START);
  const length = server.respond(START, query.length, ROOM, client, nowMs);
  const others = [...memory.subarray(0, START), ...memory.subarray(START + 1232)];
  expect(others.every((byte) => byte === 0xa5)).toBe(true);
  return length === NO_ANSWER ? undefined : memory.slice(START, START + length);
}

function ask(name: string, options: QueryOptions = {}): DnsMessage {
  return readDns(respond(dnsQuery(name, options))!);
}

const data = ({ answers }: DnsMessage) => answers.map((record) => record.data);

beforeEach(() => {
  server = serverWith({ ...OPTIONS, 'rate-limit': { answers: 0 } });
});

describe('what there is', () => {
  it('an address: authoritative, the question kept as it was written', () => {
    const message = ask('NS1.eXample.ORG', { id: 77 });
    expect(message).toMatchObject({ id: 77, flags: 0x8500, code: 0 });
    expect(message.question).toBe('NS1.eXample.ORG 1 1');
    expect(message.answers).toEqual([
      { name: 'NS1.eXample.ORG', type: 1, class: 1, ttl: 300, data: '192.0.2.53' },
    ]);
    expect(message.additionals).toEqual([]);
  });

  it.each([
    ['v6.example.org', TYPES.AAAA, ['20010db8000000010000' + '0000c0000201']],
    ['example.org', TYPES.NS, ['ns1.example.org', 'ns2.example.net']],
    ['caa.example.org', 257, [`0005${Buffer.from('issueca.example; x=1').toString('hex')}`]],
    ['medium.example.org', TYPES.TXT, [`fa${'61'.repeat(250)}`]],
  ])('%s, type %i', (name, type, wanted) => {
    expect(data(ask(name, { type, edns: 4096 })).slice(0, wanted.length)).toEqual(wanted);
  });

  it('several records of a kind, and the zone itself', () => {
    const mx = ask('example.org', { type: TYPES.MX });
    expect(mx.answers.length).toBe(2);
    const soa = ask('example.org', { type: TYPES.SOA });
    expect(soa.answers[0].data).toMatch(/00000007.{24}00000014$/);
  });

  it('aliases are followed within our zones, and no further', () => {
    const message = ask('alias.example.org');
    expect(message.answers.map(({ name, type }) => `${name} ${type}`)).toEqual([
      'alias.example.org 5',
      'alias2.example.org 5',
      'ns1.example.org 1',
    ]);
    expect(data(ask('elsewhere.example.org'))).toEqual(['www.example.com']);
    expect(data(ask('alias.example.org', { type: TYPES.CNAME }))).toEqual(['alias2.example.org']);
    expect(ask('loop.example.org').answers.length).toBe(9);
    expect(ask('dangling.example.org')).toMatchObject({ code: 3, authorities: [{ type: 6 }] });
  });

  it('everything is asked for: next to nothing is told', () => {
    const message = ask('example.org', { type: 255 });
    expect(message.answers).toMatchObject([{ type: TYPES.HINFO, data: '075246433834383200' }]);
  });
});

describe('a wildcard', () => {
  it('stands for every name below that is not there, under the name that was asked for', () => {
    for (const name of ['x.wild.example.org', 'Deep.er.wild.example.org', '*.wild.example.org']) {
      expect(ask(name).answers).toMatchObject([{ name, data: '192.0.2.77', ttl: 300 }]);
    }
    expect(data(ask('into.example.org'))).toEqual(['any.wild.example.org', '192.0.2.77']);
  });

  it.each([
    ['another type', 'x.wild.example.org', TYPES.MX, 0],
    ['a name that is there', 'known.wild.example.org', 1, 0],
    ['a name below one that is there', 'x.known.wild.example.org', 1, 3],
    ['itself without its label', 'wild.example.org', 1, 0],
    ['names beside it', 'xwild.example.org', 1, 3],
  ])('has nothing for %s', (_, name, type, code) => {
    const message = ask(name, { type });
    expect(message).toMatchObject({ code, answers: [], authorities: [{ type: TYPES.SOA }] });
  });
});

describe('a name that stands for a service', () => {
  it('has the backends by the distribution: the first by weight, the others different', () => {
    const first: Record<string, number> = {};
    for (let i = 0; i < 300; i++) {
      const message = ask('www.example.org');
      expect(new Set(data(message)).size).toBe(2);
      expect(message.answers[0].ttl).toBe(5);
      first[data(message)[0]] = (first[data(message)[0]] ?? 0) + 1;
    }
    expect(first).toEqual({ '10.0.0.1': 200, '10.0.0.2': 100 });
    expect(data(ask('one.example.org')).length).toBe(1);
  });

  it('has the IPv6 addresses of those that have one', () => {
    const message = ask('www.example.org', { type: TYPES.AAAA });
    expect(data(message)).toEqual(['20010db8000000000000000000000001']);
    expect(ask('one.example.org', { type: TYPES.AAAA }).answers).toEqual([]);
  });

  it('has no answer when no backend takes connections, and that is not remembered', () => {
    expect(ask('empty.example.org')).toMatchObject({ code: 2, answers: [], authorities: [] });
  });
});

describe('what there is not', () => {
  it.each([
    ['a name', 'no.example.org', 1, 3, 'example.org'],
    ['a name below one', 'x.ns1.example.org', 1, 3, 'example.org'],
    ['a type', 'ns1.example.org', TYPES.MX, 0, 'example.org'],
    ['records at a name above names', 'b.c.example.org', 1, 0, 'example.org'],
    ['a name of the zone within', 'x.sub.example.org', 1, 3, 'sub.example.org'],
  ])('%s: %s', (_, name, type, code, zone) => {
    const message = ask(name, { type });
    expect(message).toMatchObject({ code, answers: [], flags: 0x8500 | code });
    expect(message.authorities).toMatchObject([{ name: zone, type: TYPES.SOA }]);
  });

  it.each([
    ['another zone', 'example.net', {}],
    ['a part of our name', 'org', {}],
    ['the root', '', {}],
    ['another class', 'example.org', { class: 3 }],
    ['the whole zone', 'example.org', { type: 252 }],
  ])('is refused: %s', (_, name, options) => {
    const message = ask(name, options);
    expect(message).toMatchObject({ code: 5, flags: 0x8105, answers: [], authorities: [] });
  });
});

describe('size', () => {
  it('without EDNS 512 bytes, then TC', () => {
    expect(ask('medium.example.org', { type: TYPES.TXT })).toMatchObject({
      flags: 0x8700,
      answers: [],
    });
    expect(ask('medium.example.org', { type: TYPES.TXT, edns: 100 }).flags & 0x200).toBe(0x200);
    const whole = ask('medium.example.org', { type: TYPES.TXT, edns: 600 });
    expect(whole).toMatchObject({ flags: 0x8500, additionals: [{ type: OPT, class: 1232 }] });
    expect(whole.answers.length).toBe(2);
  });

  it('never more than 1232 bytes', () => {
    const message = ask('big.example.org', { type: TYPES.TXT, edns: 65_535 });
    expect(message).toMatchObject({ flags: 0x8700, answers: [], additionals: [{ type: OPT }] });
  });

  it('EDNS: the DO bit comes back, another version is refused with BADVERS', () => {
    const opt = ask('ns1.example.org', { edns: 1232, ednsFlags: 0x8000 }).additionals[0];
    expect(opt).toMatchObject({ name: '', ttl: 0x8000, data: '' });
    const bad = ask('ns1.example.org', { edns: 1232, ednsVersion: 1 });
    expect(bad.additionals[0].ttl >>> 24).toBe(1);
    expect(bad).toMatchObject({ code: 0, answers: [] });
  });
});

describe('what is no question', () => {
  const bytes = (...changes: [number, number][]) => {
    const query = dnsQuery('ns1.example.org', { edns: 512 });
    for (const [at, value] of changes) query[at] = value;
    return query;
  };

  it.each([
    ['an answer', bytes([2, 0x80])],
    ['an answer of another name server, with a fault', bytes([2, 0x80], [3, 1], [5, 9])],
    ['half a header', dnsQuery('x').slice(0, 11)],
    ['nothing', new Uint8Array(0)],
  ])('is not answered: %s', (_, query) => {
    expect(respond(query)).toBeUndefined();
    expect(counts.ignored).toBe(1);
  });

  it.each([
    ['another operation', bytes([2, 0x29]), 0xa904],
    ['no question', bytes([5, 0]), 0x8101],
    ['two questions', bytes([5, 2]), 0x8101],
    ['answers in it', bytes([7, 1]), 0x8101],
    ['a compressed name', bytes([12, 0xc0]), 0x8101],
    ['a label of a kind that is none', bytes([12, 0x45]), 0x8101],
    ['a name without an end', bytes().slice(0, 20), 0x8101],
    ['no type', bytes().slice(0, 31), 0x8101],
    ['more records than there are', bytes([11, 2]), 0x8101],
    ['many records', bytes([11, 200]), 0x8101],
    ['an OPT that is cut off', bytes().slice(0, -2), 0x8101],
    ['options that are cut off', bytes([bytes().length - 1, 9]), 0x8101],
  ])('is told so, by a header and no more: %s', (_, query, flags) => {
    const message = readDns(respond(query)!);
    expect(message).toMatchObject({ id: 0x1234, flags, length: 12, question: '' });
  });

  it('no label is longer than 63 bytes', () => {
    expect(ask(`${'a'.repeat(63)}.example.org`).code).toBe(3);
    expect(readDns(respond(dnsQuery(`${'a'.repeat(64)}.example.org`))!).code).toBe(1);
  });

  it('names of the greatest length are names', () => {
    const name = `${'a'.repeat(63)}.`.repeat(3);
    expect(ask(`${name}${'b'.repeat(49)}.example.org`)).toMatchObject({ code: 3 });
    expect(readDns(respond(dnsQuery(`${name}${'b'.repeat(50)}.example.org`))!).code).toBe(1);
    expect(ask(`${'a.'.repeat(121)}example.org`).code).toBe(3);
  });
});

describe('long answers', () => {
  const query = dnsQuery('no.example.org');

  it('are limited for each network, and every other one too many says TC', () => {
    server = serverWith({ ...OPTIONS, 'rate-limit': { answers: 10, prefix: 24 } });
    const codes = Array.from({ length: 20 }, () => {
      const answer = respond(query);
      return answer === undefined ? 'none' : readDns(answer).flags & 0x200 ? 'TC' : 'whole';
    });
    expect(codes.filter((each) => each === 'whole').length).toBe(10);
    expect(codes.slice(10)).toEqual([
      'TC',
      'none',
      'TC',
      'none',
      'TC',
      'none',
      'TC',
      'none',
      'TC',
      'none',
    ]);
    expect(respond(query, CLIENT + 1)).not.toBeUndefined();
    expect(respond(query, CLIENT + 2)).toBeUndefined();
    expect(readDns(respond(query, CLIENT + 256)!).authorities.length).toBe(1);
    expect(readDns(respond(query, CLIENT, 2100)!).authorities.length).toBe(1);
    for (let i = 0; i < 100; i++) expect(data(ask('ns1.example.org'))).toEqual(['192.0.2.53']);
  });

  it('beyond the limit nobody gets more than twice what was sent', () => {
    server = serverWith({ ...OPTIONS, 'rate-limit': { answers: 1 } });
    const names = ['no.example.org', 'medium.example.org', 'www.example.org', 'example.org'];
    for (let i = 0; i < 400; i++) {
      const type = [1, 16, 15, 28, 255][i % 5];
      const asked = dnsQuery(names[i % 4], { type, ...(i % 3 === 0 ? { edns: 4096 } : {}) });
      const answer = respond(asked);
      if (i > 10) expect(answer?.length ?? 0).toBeLessThanOrEqual(asked.length * 2);
    }
  });
});

describe('options that cannot be', () => {
  const zone = (record: object) => ({
    zones: [{ name: 'a.b', nameservers: ['ns'], records: [record] }] as DnsOptions['zones'],
  });
  it.each([
    [{ name: 'x', type: 'A', value: '1.2.3' }, /not an IPv4 address/],
    [{ name: 'x', type: 'AAAA', value: '1::2::3' }, /no IPv6 address/],
    [{ name: 'x..y', type: 'A', value: '1.2.3.4' }, /no name of the DNS/],
    [{ name: 'x.y.', type: 'A', value: '1.2.3.4' }, /not in the zone/],
    [{ name: 'x', type: 'NS', value: 'y' }, /other name servers/],
    [{ name: 'x', type: 'MX', value: 'mail' }, /a number and a name/],
    [{ name: '@', type: 'CNAME', value: 'y' }, /nothing else/],
    [{ name: 'x', type: 'HTTPS', value: 'y' }, /not known/],
  ])('%j', (record, message) => {
    expect(() => serverWith(zone(record))).toThrow(message);
  });
});

describe('a million malformed queries', () => {
  it('are answered with whole messages or not at all', () => {
    const seed = 20261121;
    const random = new Prng(seed);
    const below = (bound: number) => random.below(bound);
    server = serverWith({ ...OPTIONS, 'rate-limit': { answers: 0 } });
    const names = [
      'www.example.org',
      'big.example.org',
      'alias.example.org',
      'x.org',
      'example.org',
    ];
    const templates = names.flatMap((name) =>
      [1, 16, 28, 255, 6].flatMap((type) => [
        dnsQuery(name, { type }),
        dnsQuery(name, { type, edns: 1232 }),
      ]),
    );
    let answered = 0;
    let longest = 0;
    for (let i = 0; i < 1_000_000; i++) {
      const template = templates[below(templates.length)];
      memory.set(template, START);
      let length = template.length;
      for (let change = below(4); change > 0; change--) {
        memory[START + below(length)] = below(256);
      }
      if (below(4) === 0) length = below(length + 1);
      else if (below(8) === 0) length += below(40);
      const size = server.respond(START, length, ROOM, below(1 << 20), i >> 8);
      longest = Math.max(longest, size);
      if (size === NO_ANSWER) continue;
      answered += 1;
      if (i % 16 === 0) readDns(memory.slice(START, START + size));
    }
    expect(longest).toBeLessThanOrEqual(1232);
    expect(answered).toBeGreaterThan(500_000);
  }, 300_000);
});
